"""The published bases: which file each table needs, and what a folder lacks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fmtutor.bench import published_bases
from fmtutor.bench.few_shot_bases import Bases
from fmtutor.bench.few_shot_grid import Cell, cells_of
from fmtutor.bench.published_bases import CHECKPOINTS, PublishedBases, checkpoints_needed
from fmtutor.hub.layouts import PUBLISHED
from fmtutor.nets.genesis_unet import GenesisUNet


def cell(table: str, base: str, kind: str) -> Cell:
    return replace(cells_of(table, "paper")[0], base=base, kind=kind)


def test_known_organs_begin_from_suprem_and_new_ones_from_fseft() -> None:
    known, novel = cells_of("fseft-known", "paper"), cells_of("fseft-novel", "paper")
    assert set(checkpoints_needed(known)) == {"suprem-unet", "suprem-swin"}
    assert set(checkpoints_needed(novel)) == {"fseft-swin", "swin-unetr-ssl"}
    assert checkpoints_needed(c for c in known if c.kind == "unet") == ("suprem-unet",)
    assert checkpoints_needed(c for c in known if c.base == "random") == ()
    assert set(CHECKPOINTS.values()) <= set(PUBLISHED)


def test_a_folder_without_the_files_names_all_of_them_and_where_they_are(tmp_path: Path) -> None:
    (tmp_path / PUBLISHED["fseft-swin"].file).touch()
    with pytest.raises(FileNotFoundError, match=r"model_swinvit\.pt from https") as error:
        PublishedBases(tmp_path).check(cells_of("fseft-novel", "paper"))
    assert "fseft.pth" not in str(error.value)


def test_a_checkpoint_gives_its_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = nn.Module()
    whole.backbone = GenesisUNet(width=8)
    asked = []
    monkeypatch.setattr(published_bases, "load", lambda *given: (asked.append(given), whole)[1])
    bases = PublishedBases(tmp_path)
    assert isinstance(bases, Bases)
    base = bases.base(cell("fseft-known", "supervised", "unet"))
    assert base.backbone is whole.backbone
    assert base.row("liver") is None
    assert asked == [("suprem-unet", tmp_path / "supervised_suprem_unet_2100.pth")]


def test_the_self_supervised_encoder_is_put_into_a_new_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from fmtutor.nets.swin_encoder import SwinEncoder

    encoder = SwinEncoder()
    monkeypatch.setattr(published_bases, "load", lambda *_: encoder)
    base = PublishedBases(tmp_path).base(cell("fseft-novel", "self-supervised", "swin"))
    ours, theirs = base.backbone.state_dict(), encoder.state_dict()
    name = "swinViT.patch_embed.proj.weight"
    assert torch.equal(ours[name], theirs[name])


def test_a_table_without_such_a_base_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fseft-known supervised unet"):
        PublishedBases(tmp_path).base(cell("fseft-known", "self-supervised", "unet"))


def test_the_hash_of_a_base_is_that_of_its_file(tmp_path: Path) -> None:
    file, bases = tmp_path / PUBLISHED["suprem-unet"].file, PublishedBases(tmp_path)
    begun = cell("fseft-known", "supervised", "unet")
    file.write_bytes(b"one")
    one = bases.sha256(begun)
    file.write_bytes(b"two")
    assert one != bases.sha256(begun) != ""
    assert bases.sha256(replace(begun, base="random")) == ""
