"""The published bases: which file each table needs, and what a folder lacks."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fmtutor.bench import published_bases
from fmtutor.bench.published_bases import (
    CHECKPOINTS,
    check_files,
    files_needed,
    published_base,
    published_sha256,
)
from fmtutor.hub.layouts import PUBLISHED
from fmtutor.nets.genesis_unet import GenesisUNet


def test_known_organs_begin_from_suprem_and_new_ones_from_fseft() -> None:
    assert set(files_needed("fseft-known")) == {"suprem-unet", "suprem-swin"}
    assert set(files_needed("fseft-novel")) == {"fseft-swin", "swin-unetr-ssl"}
    assert set(CHECKPOINTS.values()) <= set(PUBLISHED)


def test_a_folder_without_the_files_names_all_of_them_and_where_they_are(tmp_path: Path) -> None:
    (tmp_path / PUBLISHED["fseft-swin"].file).touch()
    with pytest.raises(FileNotFoundError, match=r"model_swinvit\.pt from https") as error:
        check_files("fseft-novel", tmp_path)
    assert "fseft.pth" not in str(error.value)


def test_a_checkpoint_gives_its_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = nn.Module()
    whole.backbone = GenesisUNet(width=8)
    asked = []
    monkeypatch.setattr(published_bases, "load", lambda *given: (asked.append(given), whole)[1])
    base = published_base("fseft-known", "supervised", "unet", folder=tmp_path, seed=0)
    assert base.backbone is whole.backbone
    assert base.row("liver") is None
    assert asked == [("suprem-unet", tmp_path / "supervised_suprem_unet_2100.pth")]


def test_the_self_supervised_encoder_is_put_into_a_new_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fmtutor.nets.swin_encoder import SwinEncoder

    encoder = SwinEncoder()
    monkeypatch.setattr(published_bases, "load", lambda *_: encoder)
    base = published_base("fseft-novel", "self-supervised", "swin", folder=tmp_path, seed=0)
    ours, theirs = base.backbone.state_dict(), encoder.state_dict()
    name = "swinViT.patch_embed.proj.weight"
    assert torch.equal(ours[name], theirs[name])


def test_a_table_without_such_a_base_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fseft-known supervised unet"):
        published_base("fseft-known", "self-supervised", "unet", folder=tmp_path, seed=0)


def test_the_hash_of_a_base_is_that_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / PUBLISHED["suprem-unet"].file
    file.write_bytes(b"one")
    one = published_sha256("fseft-known", "supervised", "unet", folder=tmp_path)
    file.write_bytes(b"two")
    assert one != published_sha256("fseft-known", "supervised", "unet", folder=tmp_path) != ""
    assert published_sha256("fseft-known", "random", "unet", folder=tmp_path) == ""
