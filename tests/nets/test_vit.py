"""The image encoder: closed form and plain form, stem and details, what it refuses."""

import pytest
import torch
from torch import nn

from fmtutor.nets.vit import ChannelNorm, ImageEncoder
from tests.golden.recipe import filled, image


def encoder(side: tuple[int, ...] = (24, 32), **changes: object) -> ImageEncoder:
    """Return a small encoder in fp64 whose every parameter matters."""
    given: dict = {
        "patch": 4, "in_channels": 1, "features": 16, "depth": 3, "heads": 2, "out_features": 8,
        "window": 4, "global_blocks": (1,), **changes,
    }  # fmt: skip
    model = ImageEncoder(side, **given)
    model.load_state_dict(filled(model.state_dict()))
    return model.double()


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        ((24, 36), {}),
        ((12, 16, 24), {}),
        ((12, 12, 12), {"positions": "sammed3d"}),
        ((24, 36), {"positions": "none"}),
    ],
)
def test_both_forms_of_the_whole_encoder_agree(side: tuple[int, ...], changes: dict) -> None:
    model, given = encoder(side, **changes), image((2, 1, *side)).double()
    with torch.no_grad():
        ours, plain = model(given)[0], model(given, plain=True)[0]
    assert ours.shape == (2, 8, *(size // 4 for size in side))
    assert float((ours - plain).abs().max() / plain.abs().max()) < 1e-12


def test_blocks_attend_to_the_whole_grid_where_asked() -> None:
    model = encoder()
    assert [block.attn.windowed for block in model.blocks] == [True, False, True]
    assert [tuple(block.attn.reach) for block in model.blocks] == [(4, 4), (6, 8), (4, 4)]


def test_a_stem_gives_its_maps_finest_first() -> None:
    model, given = encoder(stem=(4, 6)), image((1, 1, 24, 32)).double()
    found, details = model(given)
    assert found.shape == (1, 8, 6, 8)
    assert [tuple(detail.shape) for detail in details] == [(1, 4, 12, 16), (1, 6, 6, 8)]
    assert model.patch_embed.kernel_size == (1, 1)


def test_without_a_stem_there_are_no_details() -> None:
    assert encoder()(image((1, 1, 24, 32)).double())[1] == []


def test_a_side_that_is_no_multiple_of_the_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of the patch of 4 voxels, got \(24, 30\)"):
        encoder()(image((1, 1, 24, 30)).double())


def test_smaller_images_pass_without_absolute_places() -> None:
    model = encoder(absolute=False)
    assert model.pos_embed is None
    assert model(image((1, 1, 16, 20)).double())[0].shape == (1, 8, 4, 5)


def test_the_absolute_places_are_added_where_they_belong() -> None:
    """Without attention between tokens, a changed vector at one place moves that place alone."""
    model = encoder(window=1, global_blocks=())
    model.neck = nn.Sequential(model.neck[0])
    given = image((1, 1, 24, 32)).double()
    before = model(given)[0]
    with torch.no_grad():
        model.pos_embed[0, 2, 5] += torch.arange(16).double()
    moved = ((model(given)[0] - before).abs().amax(1)[0] > 1e-9).nonzero().tolist()
    assert moved == [[2, 5]]


def test_what_stands_in_a_blocks_places_is_used() -> None:
    model, given = encoder(), image((1, 1, 24, 32)).double()
    before = model(given)[0]
    for place in ("start", "middle", "beside"):
        changed = encoder()
        setattr(changed.blocks[0], place, nn.Linear(16, 16).double())
        assert not torch.allclose(changed(given)[0], before, atol=1e-6), place


def test_the_channel_norm_is_a_layer_norm_at_each_place() -> None:
    norm, x = ChannelNorm(5), torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        norm.weight.copy_(torch.arange(5.0))
        norm.bias.fill_(0.5)
    mean, spread = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = torch.arange(5.0).view(1, 5, 1, 1) * (x - mean) / (spread + 1e-6).sqrt() + 0.5
    assert torch.allclose(norm(x), expected, atol=1e-6)
