"""`fmtutor weights` on a file in MedicalNet's layout, made here from random weights."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fmtutor.cli import main
from fmtutor.core.files import read_json, sha256_of
from fmtutor.hub import PUBLISHED, load
from fmtutor.hub.layouts import slots_of
from fmtutor.hub.models import shipped

NAME = "medicalnet-10"


def saved(path: Path, **changes: Tensor) -> Path:
    tensors = {
        f"module.{key}": torch.zeros(slot.shape, dtype=torch.long)
        if key.endswith("num_batches_tracked")
        else torch.randn(slot.shape) / 10
        for key, slot in slots_of(NAME).items()
    }
    torch.save({"state_dict": tensors | changes, "epoch": 3}, path)
    return path


def test_the_list_has_every_name_its_licence_and_its_source(capsys):
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*shipped(), *PUBLISHED]
    for line, entry in zip(lines[len(shipped()) :], PUBLISHED.values(), strict=True):
        assert "needs its file" in line
        assert all(part in line for part in (entry.licence, entry.file, entry.source))


def test_a_file_that_matches_is_said_to(capsys, tmp_path):
    assert main(["weights", "check", NAME, str(saved(tmp_path / "a.pth"))]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"a.pth must hold {NAME}: of its {len(slots_of(NAME))} tensors all match.",
        "ignored: epoch",
    ]


def test_a_mismatch_is_reported_whole_with_status_1(capsys, tmp_path):
    extra = {f"module.extra{number}": torch.zeros(1) for number in range(40)}
    path = saved(tmp_path / "a.pth", **extra)
    assert main(["weights", "check", NAME, str(path)]) == 1
    out = capsys.readouterr().out
    assert all(f"extra{number}" in out for number in range(40))


def test_a_missing_file_is_an_error_with_its_source(capsys, tmp_path):
    assert main(["weights", "check", NAME, str(tmp_path / "none.pth")]) == 2
    assert PUBLISHED[NAME].source in capsys.readouterr().err


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 0.0), ("fp16", 3e-4)])
def test_a_converted_file_loads_back_and_has_a_card(capsys, tmp_path, dtype, tolerance):
    path, out = saved(tmp_path / "a.pth"), tmp_path / "new.safetensors"
    assert main(["weights", "convert", NAME, str(path), str(out), "--dtype", dtype]) == 0
    assert PUBLISHED[NAME].licence in capsys.readouterr().out
    before, after = load(NAME, path).state_dict(), load(NAME, out).state_dict()
    assert all(torch.allclose(before[key], after[key], rtol=0, atol=tolerance) for key in before)
    card = read_json(tmp_path / "new.json")
    assert (card["name"], card["licence"], card["dtype"]) == (NAME, "MIT", dtype)
    assert card["weights_sha256"] == sha256_of(out)
    assert card["from_sha256"] == sha256_of(path)


def test_a_converted_file_knows_its_name(capsys, tmp_path):
    path, out = saved(tmp_path / "a.pth"), tmp_path / "new.safetensors"
    assert main(["weights", "convert", NAME, str(path), str(out)]) == 0
    assert main(["weights", "check", NAME, str(out)]) == 0
    assert main(["weights", "check", "medicalnet-18", str(out)]) == 1
    assert f"it was converted from {NAME}: ask for that name" in capsys.readouterr().out


def test_a_damaged_safetensors_file_is_refused(capsys, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(json.dumps({"a": 1}).encode())
    assert main(["weights", "check", NAME, str(tmp_path / "bad.safetensors")]) == 2
    assert "it is damaged" in capsys.readouterr().err


def test_the_new_file_must_be_safetensors(capsys, tmp_path):
    assert main(["weights", "convert", NAME, "a.pth", str(tmp_path / "new.pth")]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
