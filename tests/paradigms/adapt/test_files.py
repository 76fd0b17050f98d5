"""Adapters on disk: kilobytes, exact, refused on another base, readable by peft alone."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from torch import nn

from fmtutor.core.seeds import seed_everything
from fmtutor.engine.features import hash_of_weights
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import small_swin_unetr
from fmtutor.paradigms.adapt import files
from fmtutor.paradigms.adapt.files import (
    RECORD,
    WEIGHTS,
    AdapterRecord,
    list_adapters,
    load,
    read_record,
    save,
)
from fmtutor.paradigms.adapt.network import FewShotNet, Kind
from fmtutor.paradigms.adapt.spec import Spec, adapted, set_modes

SIDES: dict[Kind, tuple[int, int, int]] = {"swin": (64, 32, 32), "unet": (16, 16, 16)}


@cache
def base(kind: Kind) -> nn.Module:
    seed_everything(0)
    net = small_swin_unetr(feature_size=12) if kind == "swin" else GenesisUNet(width=4)
    return net.eval()


def moved(spec: Spec, kind: Kind) -> FewShotNet:
    """The method as if trained: parameters moved, statistics updated where they are."""
    net = adapted(base(kind), spec)
    set_modes(net, spec)
    logits(net, kind)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p += 0.05 * torch.randn_like(p)
    return net.eval()


def record(spec: Spec, kind: Kind) -> AdapterRecord:
    return AdapterRecord(
        spec=spec, structure="spleen", base="tiny", base_hash=hash_of_weights(base(kind))
    )


def logits(net: nn.Module, kind: Kind) -> torch.Tensor:
    seed_everything(1)
    with torch.no_grad():
        return net(torch.rand(1, 1, *SIDES[kind]))


CASES: list[tuple[Kind, str, bool]] = [
    ("unet", "linear_probe", False),
    ("unet", "spatial_adapter", False),
    ("unet", "bitfit", True),
    ("unet", "cnn_adapter", False),
    ("unet", "conv_lora", False),
    ("unet", "ssf", False),
    ("unet", "residual_adapter", False),
    ("unet", "full_fine_tune", False),
    ("swin", "adaptformer", False),
    ("swin", "lora", True),
    ("swin", "dora", False),
    ("swin", "arena", False),
]


@pytest.mark.parametrize(("kind", "method", "decoder"), CASES)
def test_what_comes_back_gives_the_same_logits(
    kind: Kind, method: str, decoder: bool, tmp_path: Path
) -> None:
    spec = Spec(method=method, decoder=decoder, preset="corrected")
    net, before = moved(spec, kind), hash_of_weights(base(kind))
    save(net, tmp_path / "a", record(spec, kind))
    seed_everything(7)
    back = load(tmp_path / "a", base(kind))
    assert torch.equal(logits(back, kind), logits(net, kind))
    assert hash_of_weights(back) == hash_of_weights(net)
    assert hash_of_weights(base(kind)) == before
    assert read_record(tmp_path / "a") == record(spec, kind)
    with safe_open(tmp_path / "a" / WEIGHTS, framework="pt") as file:
        sizes = [file.get_tensor(name).numel() for name in file.keys()]  # noqa: SIM118
    assert sum(sizes) >= sum(p.numel() for p in net.parameters() if p.requires_grad)


def test_an_adapter_of_several_structures_keeps_its_head_of_several_rows(tmp_path: Path) -> None:
    spec = Spec(method="spatial_adapter")
    net = adapted(base("unet"), spec, outputs=4).eval()
    save(net, tmp_path / "a", record(spec, "unet"))
    again = load(tmp_path / "a", base("unet"))
    assert again.classifier.out_channels == 4
    assert torch.equal(logits(again, "unet"), logits(net, "unet"))


@pytest.mark.parametrize(("method", "decoder"), [("lora", False), ("lora", True), ("dora", False)])
def test_peft_alone_opens_what_is_all_its_own(method: str, decoder: bool, tmp_path: Path) -> None:
    spec = Spec(method=method, decoder=decoder)
    net = moved(spec, "swin")
    save(net, tmp_path / "a", record(spec, "swin"))
    opened = PeftModel.from_pretrained(FewShotNet(base("swin")), tmp_path / "a").eval()
    assert torch.allclose(logits(opened, "swin"), logits(net, "swin"), atol=1e-6)
    base.cache_clear()  # peft puts its layers into the very network it is given


@pytest.mark.parametrize("method", ["linear_probe", "conv_lora"])
def test_other_folders_do_not_claim_to_be_of_peft(method: str, tmp_path: Path) -> None:
    spec = Spec(method=method)
    save(moved(spec, "unet"), tmp_path / "a", record(spec, "unet"))
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [WEIGHTS, RECORD]


def test_another_base_is_refused(tmp_path: Path) -> None:
    spec = Spec(method="linear_probe")
    save(moved(spec, "unet"), tmp_path / "a", record(spec, "unet"))
    other = GenesisUNet(width=4)
    before = hash_of_weights(other)
    with pytest.raises(ValueError, match=r"trained on, 'tiny' with hash .*, got .*; load 'tiny'"):
        load(tmp_path / "a", other)
    assert hash_of_weights(other) == before


def test_a_folder_that_is_no_adapter_or_a_damaged_one_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"folder with {RECORD}, got 'none'"):
        load(tmp_path / "none", base("unet"))
    spec = Spec(method="linear_probe")
    save(moved(spec, "unet"), tmp_path / "a", record(spec, "unet"))
    (tmp_path / "a" / WEIGHTS).write_bytes(b"cut short")
    with pytest.raises(ValueError, match="is not readable"):
        load(tmp_path / "a", base("unet"))
    save(moved(spec, "unet"), tmp_path / "a", record(spec, "unet"))
    values = json.loads((tmp_path / "a" / RECORD).read_text())
    values["spec"]["method"] = "mlp_adapter"
    (tmp_path / "a" / RECORD).write_text(json.dumps(values))
    with pytest.raises(ValueError, match="holds another adapter: missing: "):
        load(tmp_path / "a", base("unet"))


def test_zero_shot_has_nothing_to_save(tmp_path: Path) -> None:
    spec = Spec(method="zero_shot")
    net = adapted(base("unet"), spec, row=(torch.zeros(4), torch.zeros(())))
    with pytest.raises(ValueError, match="zero_shot trains nothing"):
        save(net, tmp_path / "a", record(spec, "unet"))


def test_a_failed_save_leaves_the_old_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec(method="linear_probe")
    old = moved(spec, "unet")
    save(old, tmp_path / "a", record(spec, "unet"))

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    new = moved(spec, "unet")
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", full_disk)
        with pytest.raises(OSError, match="no space"):
            save(new, tmp_path / "a", record(spec, "unet"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert torch.equal(logits(load(tmp_path / "a", base("unet")), "unet"), logits(old, "unet"))
    save(new, tmp_path / "a", record(spec, "unet"))
    assert torch.equal(logits(load(tmp_path / "a", base("unet")), "unet"), logits(new, "unet"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_adapters_are_listed_by_folder(tmp_path: Path) -> None:
    spec = Spec(method="linear_probe")
    for name in ("b", "a", "deep/c"):
        save(moved(spec, "unet"), tmp_path / name, record(spec, "unet"))
    (tmp_path / ".d.part").mkdir()
    (tmp_path / ".d.part" / RECORD).write_text("{}")
    found = list_adapters(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a", "b", "deep/c"]
    assert {item.structure for item in found.values()} == {"spleen"}


def test_an_adapter_is_kilobytes(tmp_path: Path) -> None:
    sizes = {}
    for kind, method in (("swin", "linear_probe"), ("swin", "lora"), ("unet", "bitfit")):
        spec = Spec(method=method)
        save(moved(spec, kind), tmp_path / method, record(spec, kind))
        sizes[method] = sum(path.stat().st_size for path in (tmp_path / method).iterdir()) / 1024
    assert sizes["linear_probe"] < 2
    assert sizes["lora"] < 80
    assert sizes["bitfit"] < 20
