"""A 2D encoder made 3D: fast forms equal plain ones, and what comes from the base arrives."""

import pytest
import torch
from torch import nn

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.sam import Sam
from fmtutor.nets.volume_adapters import (
    ShiftedAttention,
    SpatialAdapter,
    VolumeEncoder,
    axis_pieces,
    inflate,
)
from fmtutor.paradigms.interactive.sizes import TINY


def encoder() -> VolumeEncoder:
    return VolumeEncoder(TINY, (16, 16, 8), scale=1, window=2)


def rolled_and_masked(layer: ShiftedAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention as Swin writes it, token by token: rolled windows, strangers masked."""
    grid, window, shift = x.shape[1:-1], layer.reach[0], layer.shift
    at = torch.stack(torch.meshgrid(*map(torch.arange, grid), indexing="ij"), -1).flatten(0, 2)
    size = torch.tensor(grid)
    rolled = (at - shift) % size
    wrapped = at < shift
    same = (rolled[:, None] // window == rolled[None] // window).all(-1)
    same &= (wrapped[:, None] == wrapped[None]).all(-1)
    q, k, v = layer._per_head(layer.qkv(x))
    scores = q.flatten(2, 4) @ k.flatten(2, 4).transpose(-1, -2) / q.shape[-1] ** 0.5
    for axis, table in enumerate(layer.relative):
        distance = (at[:, None, axis] - at[None, :, axis]).clamp(1 - window, window - 1)
        scores = scores + torch.einsum(
            "bhqe,qke->bhqk", q.flatten(2, 4), table[distance + window - 1]
        )
    out = scores.masked_fill(~same, -torch.inf).softmax(-1) @ v.flatten(2, 4)
    return layer.proj(out.transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize("shift", [0, 2])
def test_shorter_windows_are_what_rolling_and_masking_leaves(shift: int) -> None:
    layer = ShiftedAttention(8, 2, window=4, shift=shift).double()
    for table in layer.relative:
        nn.init.normal_(table)
    draw = torch_rng("shift")
    x = torch.randn(2, 8, 4, 8, 8, generator=draw, dtype=torch.float64)
    assert torch.allclose(layer(x), rolled_and_masked(layer, x), atol=1e-12)


def test_pieces_of_an_axis_cover_it_once() -> None:
    for size, window, shift in ((12, 8, 4), (3, 8, 4), (16, 8, 0), (7, 4, 2)):
        pieces = axis_pieces(size, window, shift)
        assert [i for where, _ in pieces for i in range(size)[where]] == list(range(size))
        assert all((where.stop - where.start) % length == 0 for where, length in pieces)


def test_one_convolution_gives_the_tokens_of_two() -> None:
    model = encoder().double()
    nn.init.normal_(model.slice_embed.weight)
    nn.init.normal_(model.slice_embed.bias)
    x = torch.rand(2, 1, 16, 16, 8, generator=torch_rng("tokens"), dtype=torch.float64)
    assert torch.allclose(model.tokens(x), model.plain_tokens(x), atol=1e-12)


def test_a_volume_of_equal_slices_begins_with_the_tokens_of_the_base() -> None:
    base, model = Sam(TINY), encoder()
    inflate(model, base.state_dict())
    image = torch.rand(1, 1, 16, 16, generator=torch_rng("slices"))
    flat = base.image_encoder.patch_embed(image)
    deep = model.tokens(image[..., None].expand(-1, -1, -1, -1, 8))
    assert deep.shape == (*flat.shape, 2)
    assert torch.allclose(deep, flat[..., None].expand_as(deep), atol=1e-6)


def test_the_table_of_depth_begins_as_the_mean_of_the_others() -> None:
    base, model = Sam(TINY), encoder()
    for block in base.image_encoder.blocks:
        for table in block.attn.relative:
            nn.init.normal_(table)
    inflate(model, base.state_dict())
    for block in model.blocks:
        rows, columns, depth = block.attn.relative
        assert bool((rows != columns).any())
        assert torch.allclose(depth, (rows + columns) / 2)
    own, theirs = model.blocks[1].mlp.lin1.weight, base.image_encoder.blocks[1].mlp.lin1.weight
    assert torch.equal(own, theirs)


def test_an_adapter_with_its_last_layer_at_zero_changes_nothing() -> None:
    adapter = SpatialAdapter(8)
    nn.init.zeros_(adapter.up.weight)
    nn.init.zeros_(adapter.up.bias)
    x = torch.randn(1, 3, 3, 3, 8, generator=torch_rng("adapter"))
    assert torch.equal(adapter(x), x)


def test_four_depths_are_handed_on() -> None:
    found = encoder()(torch.rand(1, 1, 16, 16, 8))
    assert [tuple(level.shape) for level in found] == [(1, TINY.prompt_features, 4, 4, 2)] * 4


def test_a_size_that_makes_no_whole_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of the patch"):
        VolumeEncoder(TINY, (16, 16, 6), scale=1, window=2)
