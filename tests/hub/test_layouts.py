"""Files in the layouts that authors publish, made from drawn weights, and originals' outputs."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmtutor.core.files import read_json
from fmtutor.data.anatomy import read_table
from fmtutor.hub import PUBLISHED, check, load
from fmtutor.hub.layouts import COUNTER, slots_of
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.partial.clip_driven import ClipDriven
from fmtutor.paradigms.partial.fseft import Fseft
from fmtutor.paradigms.partial.suprem import Suprem
from tests.golden.recipe import episode, filled, image, kept

GOLDEN = Path(__file__).parents[1] / "golden"
SYSTEMS = {
    "clip-driven-swin": (ClipDriven, "clip_driven"),
    "clip-driven-unet": (ClipDriven, "clip_driven"),
    "suprem-swin": (ClipDriven, "clip_driven"),
    "suprem-unet": (ClipDriven, "clip_driven"),
    "suprem-segresnet": (Suprem, "abdomen_atlas_25"),
    "fseft-swin": (Fseft, "fseft"),
}
QUICK = ("clip-driven-unet", "suprem-segresnet")
SLOW = pytest.mark.slow
GOLDENS = [
    pytest.param(name, marks=SLOW if "swin" in name else ())
    for name in (*SYSTEMS, "models-genesis", "universeg-v1", "tyche-ts")
]
WRAPPED = {"clip-driven-unet", "suprem-swin", "suprem-unet"}
"""Files whose backbone's names begin with ``backbone.``: those of CLIP-Driven's later code."""
HEADS = ("precls_conv.", "GAP.", "controller.", "organ_embedding", "text_to_vision.")


def published_file(path: Path, tensors: dict[str, Tensor], *, wrapped: bool = False) -> Path:
    """Save tensors as the text-driven systems do: prefixes, and a training state beside them."""
    names = {
        f"module.{'backbone.' if wrapped and not key.startswith(HEADS) else ''}{key}": value
        for key, value in tensors.items()
    }
    state = {"state": {0: {"step": torch.ones(()), "exp_avg": torch.zeros(2)}}}
    torch.save({"net": names, "optimizer": state, "scheduler": {"last": 1}, "epoch": 9}, path)
    return path


@cache
def hollow(name: str) -> dict[str, Tensor]:
    """Return tensors of the right names and shapes that take no room: one zero, seen many times."""
    return {key: torch.zeros(()).expand(slot.shape) for key, slot in slots_of(name).items()}


def drawn_tensors(name: str) -> dict[str, Tensor]:
    """Return the recipe's tensors under the names and in the shapes of the published file."""
    own = PUBLISHED[name].build().state_dict()
    return filled({key: own[slot.name].reshape(slot.shape) for key, slot in slots_of(name).items()})


@pytest.mark.parametrize("name", GOLDENS)
def test_equal_weights_give_the_originals_numbers(name: str, tmp_path: Path) -> None:
    golden = read_json(GOLDEN / f"{name}.json")
    tensors = drawn_tensors(name)
    path = published_file(tmp_path / "file.pth", tensors, wrapped=name in WRAPPED)
    shape = golden["input"]
    given, options = episode(**shape) if isinstance(shape, dict) else ((image(shape),), {})
    with torch.no_grad():
        ours = kept(load(name, path)(*given, **options))
    error = np.abs(np.subtract(ours["values"], golden["values"])).max() / golden["max_abs"]
    assert ours["shape"] == golden["shape"]
    assert error <= 5e-6, f"{error:.2e}"
    assert abs(ours["max_abs"] / golden["max_abs"] - 1) <= 5e-6


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_whole_system_comes_back_with_its_class_list(name: str, tmp_path: Path) -> None:
    kind, classes = SYSTEMS[name]
    path = published_file(tmp_path / "file.pth", hollow(name), wrapped=name in WRAPPED)
    module = load(name, path)
    assert isinstance(module, kind)
    assert not module.training
    assert list(module.config.classes) == [
        row["name"] for row in read_table(f"taxonomies/{classes}.csv")
    ]
    assert not any(bool(value.any()) for value in module.state_dict().values())


@pytest.mark.parametrize("wrapped", [True, False])
def test_both_spellings_of_the_text_driven_systems_load(wrapped: bool, tmp_path: Path) -> None:
    path = published_file(tmp_path / "a.pth", hollow("clip-driven-unet"), wrapped=wrapped)
    assert check("clip-driven-unet", path).ok


@pytest.mark.parametrize(
    ("name", "key", "tensors", "parameters"),
    [("universeg-v1", "", 44, 1_182_785), ("tyche-ts", "model", 58, 1_774_785)],
)
def test_in_context_files_load_as_published(
    name: str, key: str, tensors: int, parameters: int, tmp_path: Path
) -> None:
    state = hollow(name)
    torch.save({key: state, "epoch": 9} if key else state, tmp_path / "file.pt")
    module = load(name, tmp_path / "file.pt")
    assert len(state) == tensors
    assert sum(value.numel() for value in module.parameters()) == parameters
    assert not any(bool(value.any()) for value in module.state_dict().values())


def test_the_training_state_and_the_restoring_layer_are_ignored_and_named(tmp_path: Path) -> None:
    extra = {"out_tr.final_conv.weight": torch.zeros(1, 64, 1, 1, 1)}
    path = published_file(tmp_path / "a.pt", hollow("models-genesis") | extra)
    report = check("models-genesis", path)
    assert report.ok
    assert report.ignored == ("optimizer", "scheduler", "epoch", *extra)
    assert isinstance(load("models-genesis", path), GenesisUNet)


def test_another_class_count_is_refused_and_said(tmp_path: Path) -> None:
    tensors = hollow("clip-driven-unet") | {"organ_embedding": torch.zeros(31, 512)}
    path = published_file(tmp_path / "old.pth", tensors)
    with pytest.raises(
        ValueError, match=r"organ_embedding has 31 classes where .* has 32"
    ) as error:
        load("clip-driven-unet", path)
    assert "organ_embedding is (31, 512), should be (32, 512)" in str(error.value)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("clip-driven-swin", "suprem-segresnet"),
        ("fseft-swin", "clip-driven-swin"),
        ("models-genesis", "suprem-unet"),
        ("medicalnet-10", "models-genesis"),
    ],
)
def test_a_file_of_another_layout_is_named(asked: str, given: str, tmp_path: Path) -> None:
    path = published_file(tmp_path / "file.pth", hollow(given))
    with pytest.raises(ValueError, match=f"its tensors are those of .*{given}"):
        load(asked, path)


def test_a_file_near_another_layout_is_named_too(tmp_path: Path) -> None:
    tensors = hollow("suprem-segresnet") | {"extra": torch.zeros(1)}
    report = check("models-genesis", published_file(tmp_path / "file.pth", tensors))
    assert report.hints == ("it is nearest to suprem-segresnet, 99% of whose tensors match",)


def test_the_report_lists_everything_and_the_error_only_the_first(tmp_path: Path) -> None:
    path = published_file(tmp_path / "file.pth", hollow("suprem-segresnet"))
    full = check("models-genesis", path).text()
    names = (*hollow("suprem-segresnet"), *hollow("models-genesis"))
    assert all(name in full for name in names if not name.endswith(COUNTER))
    with pytest.raises(ValueError, match=r"missing: down_tr.* and \d+ more") as error:
        load("models-genesis", path)
    assert len(str(error.value)) < 3000


def test_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.pth"
    torch.save({"backbone.a": torch.zeros(1), "a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="two of them are 'a'"):
        check("models-genesis", path)


def test_the_controllers_convolution_becomes_a_linear_map(tmp_path: Path) -> None:
    weight = torch.randn(153, 512, 1, 1, 1)
    tensors = hollow("clip-driven-unet") | {"controller.weight": weight}
    module = load("clip-driven-unet", published_file(tmp_path / "file.pth", tensors))
    controller = module.get_submodule("controller")
    assert isinstance(controller, nn.Linear)
    assert torch.equal(controller.weight, weight[:, :, 0, 0, 0])
