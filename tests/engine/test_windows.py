"""Numbered windows give what the sliding window gives."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from fmtutor.core.seeds import seed_everything
from fmtutor.engine.sliding_window import sliding_window
from fmtutor.engine.windows import Windows


@pytest.mark.parametrize("shape", [(20, 16, 16), (33, 21, 16), (16, 16, 40)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_the_blend_equals_the_sliding_window(shape: tuple[int, int, int], overlap: float) -> None:
    seed_everything(0)
    net, image = nn.Conv3d(1, 1, 3, padding=1), torch.randn(1, *shape)
    windows = Windows(shape, (16, 16, 16), overlap=overlap)

    def logits(numbers: Sequence[int]) -> Tensor:
        return net(torch.stack([windows.crop(image, n) for n in numbers]))

    with torch.inference_mode():
        wanted = sliding_window(net, image[None], patch=(16, 16, 16), overlap=overlap)[0]
    torch.testing.assert_close(windows.blend(logits, batch=3), wanted, rtol=0, atol=1e-6)


def test_every_voxel_is_in_a_window() -> None:
    windows, seen = Windows((37, 20, 16), (16, 16, 16), overlap=0.25), torch.zeros(37, 20, 16)
    for place in windows.places:
        seen[place] += 1
    assert seen.min() >= 1
    assert windows.crop(torch.zeros(2, 37, 20, 16), 0).shape == (2, 16, 16, 16)


def test_a_volume_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="pad it"):
        Windows((15, 16, 16), (16, 16, 16))
