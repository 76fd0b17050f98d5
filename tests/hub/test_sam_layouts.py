"""Published SAMs: strict loading in their authors' containers, and the originals' numbers."""

import argparse
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fmtutor.core.files import read_json
from fmtutor.hub import PUBLISHED, check, load
from fmtutor.hub.entry import slots
from fmtutor.hub.layouts import slots_of
from fmtutor.hub.sam_layouts import SAM_LAYOUTS
from fmtutor.nets.sam import Sam
from fmtutor.nets.sam_adapters import add_gated_adapters
from tests.golden.promptable import SHAPES, Question, kept_of, picture
from tests.golden.recipe import drawn, filled

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = [name for name in SHAPES if name.endswith("-small")]
COUNTS = {
    "sam-vit-b": (314, 93_735_472),
    "medsam": (314, 93_735_472),
    "sam-med2d": (386, 271_241_776),
    "sam-med3d": (324, 100_509_232),
}
CONTAINERS = {"sam-vit-b": "", "medsam": "", "sam-med2d": "model", "sam-med3d": "model_state_dict"}
"""Entries under which the authors keep the tensors."""


@cache
def hollow(name: str) -> dict[str, Tensor]:
    """Return tensors of the right names and shapes that take no room: one zero, seen many times."""
    return {key: torch.zeros(()).expand(slot.shape) for key, slot in slots_of(name).items()}


def small_sam(name: str) -> Sam:
    """Return our small network with the recipe's weights, drawn by their published names."""
    kind = name.removesuffix("-small")
    model = Sam(SHAPES[name]())
    if kind == "sam-med2d":
        add_gated_adapters(model.image_encoder)
    table = slots(PUBLISHED[kind], model)
    model.load_state_dict({slot.name: drawn(key, slot.shape) for key, slot in table.items()})
    return model.eval()


def worst(model: Sam, golden: dict[str, Any], *, plain: bool = False) -> float:
    """Return the largest error over any output's largest value."""
    shape = model.shape
    with torch.no_grad():
        embedding = model.embed(picture(shape), plain=plain)

        def ask(question: Question) -> tuple[Tensor, Tensor]:
            answer = model.decode(embedding, question.prompts, candidates=question.candidates)
            return answer.low, answer.quality

        ours = kept_of(embedding.map, ask, shape)
    assert ours.keys() == golden["outputs"].keys()
    errors = []
    for name, theirs in golden["outputs"].items():
        assert ours[name]["shape"] == theirs["shape"]
        values = np.subtract(ours[name]["values"], theirs["values"])
        errors.append(np.abs(values).max() / theirs["max_abs"])
        errors.append(abs(ours[name]["max_abs"] / theirs["max_abs"] - 1))
    return float(max(errors))


@pytest.mark.parametrize("plain", [False, True], ids=["closed form", "plain"])
@pytest.mark.parametrize("name", SMALL)
def test_small_networks_give_the_originals_numbers(name: str, plain: bool) -> None:
    error = worst(small_sam(name), read_json(GOLDEN / f"{name}.json"), plain=plain)
    assert error <= 5e-6, f"{error:.2e}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sam-vit-b", "sam-med2d", "sam-med3d"])
def test_published_sizes_give_the_originals_numbers(name: str, tmp_path: Path) -> None:
    own = filled({key: torch.empty(slot.shape) for key, slot in slots_of(name).items()})
    torch.save({"model_state_dict": own}, tmp_path / "file.pth")
    del own
    model = load(name, tmp_path / "file.pth")
    golden = read_json(GOLDEN / f"{name}.json")
    for plain in (False, True) if name == "sam-med3d" else (False,):
        error = worst(model, golden, plain=plain)
        assert error <= 5e-6, f"{error:.2e}"


@pytest.mark.parametrize("name", COUNTS)
def test_a_layout_has_the_published_count_of_tensors_and_numbers(name: str) -> None:
    tensors, parameters = COUNTS[name]
    shapes = {key: slot.shape for key, slot in slots_of(name).items()}
    counted = [np.prod(shape) for key, shape in shapes.items() if "gaussian" not in key]
    assert (len(shapes), sum(counted)) == (tensors, parameters)


@pytest.mark.parametrize(("name", "key"), CONTAINERS.items())
def test_files_load_as_published(name: str, key: str, tmp_path: Path) -> None:
    state = hollow(name)
    torch.save({key: state, "epoch": 9} if key else state, tmp_path / "file.pth")
    report = check(name, tmp_path / "file.pth")
    assert report.ok
    assert report.ignored == (("epoch",) if key else ())
    assert len(report.names) == COUNTS[name][0]


def test_the_loaded_network_has_the_files_values(tmp_path: Path) -> None:
    name = "image_encoder.blocks.3.attn.rel_pos_h"
    changed = torch.randn(slots_of("sam-med3d")[name].shape)
    torch.save({"model_state_dict": hollow("sam-med3d") | {name: changed}}, tmp_path / "file.pth")
    model = load("sam-med3d", tmp_path / "file.pth")
    assert isinstance(model, Sam)
    assert not model.training
    assert model.shape.positions == "sammed3d"
    assert torch.equal(model.state_dict()["image_encoder.blocks.3.attn.relative.1"], changed)
    assert not model.state_dict()["image_encoder.blocks.3.attn.relative.0"].any()


def test_the_turbo_file_with_its_training_state_is_read(tmp_path: Path) -> None:
    content = {
        "epoch": 200,
        "model_state_dict": {f"module.{key}": value for key, value in hollow("sam-med3d").items()},
        "losses": [np.float64(0.5)],
        "args": argparse.Namespace(task_name="union", lr=8e-4),
    }
    torch.save(content, tmp_path / "turbo.pth")
    report = check("sam-med3d", tmp_path / "turbo.pth")
    assert report.ok
    assert report.ignored == ("epoch", "losses", "args")


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_pickled_optimizer_beside_the_weights_is_stepped_over(kind: Any, tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = kind([weight])
    weight.sum().backward()
    optimizer.step()
    torch.save({"model": hollow("sam-med2d"), "optimizer": optimizer}, tmp_path / "file.pth")
    report = check("sam-med2d", tmp_path / "file.pth")
    assert report.ok
    assert report.ignored == ("optimizer",)


def test_what_a_layout_does_not_name_is_refused(tmp_path: Path) -> None:
    arguments = argparse.Namespace(lr=1.0)
    torch.save({"model": hollow("sam-vit-b"), "args": arguments}, tmp_path / "file.pth")
    with pytest.raises(ValueError, match="tensors and plain values"):
        check("sam-vit-b", tmp_path / "file.pth")


class Payload:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("name", COUNTS)
def test_code_in_a_file_never_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": hollow(name), "args": Payload()}, "evil.pth")
    with pytest.raises(ValueError, match="tensors and plain values"):
        check(name, "evil.pth")
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", COUNTS)
def test_missing_unexpected_and_reshaped_tensors_are_all_said(name: str, tmp_path: Path) -> None:
    tensors = dict(hollow(name))
    tensors["prompt_encoder.extra"] = torch.zeros(1)
    del tensors["image_encoder.blocks.0.attn.rel_pos_h"]
    tensors["image_encoder.pos_embed"] = torch.zeros(1, 2, 2)
    torch.save(tensors, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=f"must hold {name}") as error:
        load(name, tmp_path / "file.pth")
    for part in (
        "missing: image_encoder.blocks.0.attn.rel_pos_h",
        "unexpected: prompt_encoder.extra",
        "wrong shape: image_encoder.pos_embed is (1, 2, 2), should be (1, ",
    ):
        assert part in str(error.value)


def test_the_frozen_plain_sam_is_no_sam_med2d(tmp_path: Path) -> None:
    torch.save(hollow("sam-vit-b"), tmp_path / "file.pth")
    with pytest.raises(ValueError, match="its tensors are those of sam-vit-b or medsam"):
        load("sam-med2d", tmp_path / "file.pth")


def test_the_table_of_published_files_holds_every_sam() -> None:
    assert set(COUNTS) == set(SAM_LAYOUTS) <= set(PUBLISHED)
