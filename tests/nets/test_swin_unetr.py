"""Swin UNETR as a backbone: MONAI's features, and the first patch merging."""

import pytest
import torch
from monai.networks.nets.swin_unetr import SwinUNETR

from fmtutor.nets.freeze import train_only
from fmtutor.nets.swin_unetr import LegacyPatchMerging, SwinUnetr

IMAGE = torch.randn(1, 1, 32, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("merging", ["merging", "mergingv2"])
def test_equal_weights_give_monais_features(merging: str) -> None:
    theirs = SwinUNETR(1, 1, feature_size=12, downsample=merging).eval()
    ours = SwinUnetr(feature_size=12, merging=merging).eval()
    kept = {k: v for k, v in theirs.state_dict().items() if not k.startswith("out.")}
    ours.load_state_dict(kept, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(theirs.out(ours(IMAGE)), theirs(IMAGE))


def test_published_size_has_62_19_million_parameters_and_the_published_few_shot_counts() -> None:
    net = SwinUnetr()
    assert sum(p.numel() for p in net.parameters()) == 62_186_610
    assert train_only(net, *net.decoder_names) == 19_597_824
    assert train_only(net, "swinViT.*norm*") == 17_280
    assert train_only(net, "swinViT.*.attn.*bias*", "swinViT.*.mlp.*bias*") == 210_690


def test_features_go_from_the_input_grid_to_stride_32() -> None:
    net = SwinUnetr(feature_size=12).eval()
    with torch.no_grad():
        shapes = [tuple(f.shape[1:]) for f in net.encode(IMAGE)]
        assert net(IMAGE).shape == (1, 12, 32, 64, 32)
    assert shapes[0] == (12, 32, 64, 32)
    assert shapes[-1] == (net.bottleneck_channels, 1, 2, 1)
    assert len(shapes) == 6


def test_legacy_merging_takes_two_neighbours_twice_and_two_never() -> None:
    merge = LegacyPatchMerging(1)
    merge.norm = torch.nn.Identity()
    merge.reduction = torch.nn.Identity()
    # A voxel's value is its offset in its block of 2^3, read as the digits i j k.
    i, j, k = torch.meshgrid(torch.arange(4), torch.arange(2), torch.arange(2), indexing="ij")
    tokens = (100 * (i % 2) + 10 * j + k)[None, ..., None].float()
    assert merge(tokens)[0, 0, 0, 0].tolist() == [0, 100, 10, 1, 101, 10, 1, 111]
    assert merge(torch.zeros(1, 3, 2, 5, 1)).shape == (1, 2, 1, 3, 8)


def test_the_merging_changes_features_but_not_names() -> None:
    nets = {name: SwinUnetr(feature_size=12, merging=name).eval() for name in ("legacy", "merging")}
    nets["legacy"].load_state_dict(nets["merging"].state_dict(), strict=True)
    with torch.no_grad():
        assert (nets["legacy"](IMAGE) - nets["merging"](IMAGE)).abs().max() > 1e-3


def test_wrong_sides_and_mergings_are_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="merging must be one of"):
        SwinUnetr(feature_size=12, merging="old")
    with pytest.raises(ValueError, match="pad the patch"):
        SwinUnetr(feature_size=12)(IMAGE[:, :, :16])
