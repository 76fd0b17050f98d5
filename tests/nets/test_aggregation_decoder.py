"""The light decoder: what is kept of an image changes no answer."""

import torch
from torch.nn import functional

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.aggregation_decoder import AggregationDecoder, _doubled


def test_keeping_the_part_before_the_prompt_changes_no_answer() -> None:
    model, draw = AggregationDecoder(6, 4).double(), torch_rng("levels")
    levels = [torch.randn(2, 6, 3, 4, 2, generator=draw, dtype=torch.float64) for _ in range(4)]
    image = torch.rand(2, 1, 12, 16, 8, generator=draw, dtype=torch.float64)
    found = model.after(model.before(levels[:3], image), levels[3])
    maps = [_doubled(head(level)) for head, level in zip(model.heads, levels, strict=True)]
    small = functional.interpolate(image, size=(6, 8, 4), mode="trilinear")
    joined = model.joined(torch.cat([*maps[:3], small, maps[3]], 1))
    both = model.out(functional.relu(model.norm(joined)))
    assert found.shape == (2, 1, 6, 8, 4)
    assert torch.allclose(found, both[:, 1:] - both[:, :1], atol=1e-12)
