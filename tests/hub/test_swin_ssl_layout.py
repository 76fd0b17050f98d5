"""Swin UNETR's published self-supervised encoder: its file, its names, and where it goes."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fmtutor.hub import PUBLISHED, check, load
from fmtutor.hub.layouts import slots_of
from fmtutor.hub.models import classes_of
from fmtutor.nets.swin_encoder import SwinEncoder
from fmtutor.nets.swin_unetr import LegacyPatchMerging, SwinUnetr
from fmtutor.paradigms.selfsup.swin_ssl import load_encoder

NAME = "swin-unetr-ssl"
HEADS = {
    "norm.weight": (768,),
    "norm.bias": (768,),
    "rotation_head.weight": (4, 768),
    "rotation_head.bias": (4,),
    "contrastive_head.weight": (512, 768),
    "contrastive_head.bias": (512,),
    "convTrans3d.weight": (768, 1, 32, 32, 32),
    "convTrans3d.bias": (1,),
}
"""What the published file holds beside the encoder."""


def empty(shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape that takes no room: one zero, seen many times."""
    return torch.zeros(()).expand(shape)


@cache
def tensors() -> dict[str, Tensor]:
    return {key: empty(slot.shape) for key, slot in slots_of(NAME).items()}


def published_file(path: Path, **changed: Tensor | None) -> Path:
    """Save what the authors publish: every name with ``module.``, under ``state_dict``."""
    heads = {name: empty(shape) for name, shape in HEADS.items()}
    content = {k: v for k, v in {**tensors(), **heads, **changed}.items() if v is not None}
    torch.save({"state_dict": {f"module.{k}": v for k, v in content.items()}}, path)
    return path


def test_the_layout_has_the_published_names_and_count() -> None:
    names = set(tensors())
    assert len(names) == 126
    assert "patch_embed.proj.weight" in names
    for part in ("attn.qkv.bias", "attn.relative_position_index", "mlp.fc1.weight", "mlp.fc2.bias"):
        assert f"layers4.0.blocks.1.{part}" in names
    assert "layers1.0.downsample.reduction.weight" in names
    assert not any("swinViT" in name or "linear" in name for name in names)


def test_the_file_loads_and_its_heads_are_left_out_by_name(tmp_path: Path) -> None:
    key = "layers2.0.blocks.1.mlp.fc2.weight"
    changed = torch.randn(tensors()[key].shape)
    path = published_file(tmp_path / "model_swinvit.pt", **{key: changed})
    report = check(NAME, path)
    assert report.ok
    assert set(report.ignored) == set(HEADS)
    encoder = load(NAME, path)
    assert isinstance(encoder, SwinEncoder)
    assert not encoder.training
    state = encoder.state_dict()
    assert torch.equal(state["swinViT.layers2.0.blocks.1.mlp.linear2.weight"], changed)
    assert not state["swinViT.layers2.0.blocks.1.mlp.linear1.weight"].any()
    assert isinstance(encoder.swinViT.layers1[0].downsample, LegacyPatchMerging)


def test_everything_that_does_not_match_is_listed(tmp_path: Path) -> None:
    changes = {"layers1.0.blocks.0.mlp.fc1.bias": None, "extra": empty((2,)),
               "patch_embed.proj.bias": empty((24,))}  # fmt: skip
    path = published_file(tmp_path / "model_swinvit.pt", **changes)
    with pytest.raises(ValueError, match="MONAI-extra-test-data") as error:
        load(NAME, path)
    for part in (
        "missing: layers1.0.blocks.0.mlp.fc1.bias",
        "unexpected: extra",
        "patch_embed.proj.bias is (24,), should be (48,)",
    ):
        assert part in str(error.value)


@pytest.mark.slow
def test_the_published_encoder_goes_into_a_network_of_the_published_size(tmp_path: Path) -> None:
    encoder = load(NAME, published_file(tmp_path / "model_swinvit.pt"))
    whole = SwinUnetr()
    load_encoder(whole, encoder.state_dict())
    assert not any(bool(p.any()) for p in whole.swinViT.parameters())
    assert any(bool(p.any()) for p in whole.encoder1.parameters())


def test_its_licence_and_source_are_named() -> None:
    entry = PUBLISHED[NAME]
    assert (entry.file, entry.licence) == ("model_swinvit.pt", "Apache-2.0")
    assert entry.source.startswith("https://github.com/Project-MONAI/")


def test_a_shipped_encoder_of_ours_says_that_it_has_no_classes() -> None:
    card = {"name": "swin", "recipe": {"system": "swin_ssl", "config": {}}}
    with pytest.raises(ValueError, match="segments nothing: put it into a network"):
        classes_of(card)
