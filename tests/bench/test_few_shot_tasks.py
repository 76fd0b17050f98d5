"""The multi-class task from its cells to its table: all organs at once, with one softmax."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from fmtutor.bench import few_shot_cell, few_shot_published
from fmtutor.bench.few_shot_bases import Base
from fmtutor.bench.few_shot_cell import run_cell
from fmtutor.bench.few_shot_data import data_of
from fmtutor.bench.few_shot_grid import QUICK, Cell, cells_of, setting_of
from fmtutor.bench.few_shot_results import collect, read_results, scores_frame
from fmtutor.bench.few_shot_table import markdown, summary
from fmtutor.bench.few_shot_tasks import FLARE22, KNOWN_PAPER, KNOWN_QUICK, classes_of, outputs_of
from fmtutor.bench.sweep import claim
from fmtutor.core.files import write_json
from fmtutor.core.seeds import seed_everything
from fmtutor.data.few_shot_classes import MultiVolume
from fmtutor.data.few_shot_splits import Split
from fmtutor.nets.genesis_unet import GenesisUNet
from tests.bench.few_shot_cells import result_of

CELLS = cells_of("fseft-flare22", "quick")
CELL = Cell(
    label="Linear Probe", kind="unet", method="linear_probe", table="fseft-flare22",
    structure=FLARE22, shots=2, seed=0,
)  # fmt: skip
SMALL = replace(
    QUICK, patch={"unet": (16, 16, 16), "swin": (64, 32, 32)}, per_volume=4,
    steps=dict.fromkeys(QUICK.steps, 60), lr_scale=dict.fromkeys(QUICK.lr_scale, 30.0),
)  # fmt: skip
GREY = (0.2, 0.5, 0.9)


def volume(number: int) -> MultiVolume:
    """Return two blocks of grey values of their own before a dark background."""
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[3 + number : 11 + number, 2:10, 3:13] = 1
    labels[3 + number : 11 + number, 11:19, 3:13] = 2
    image = np.take(np.array(GREY, np.float32), labels)
    return MultiVolume(
        name=f"v{number}", image=image, target=labels > 0, voxel_ml=0.1,
        classes=("liver", "spleen"), labels=labels,
    )  # fmt: skip


class Phantoms:
    def support(self, structure: str, patch: tuple, *, shots: int, seed: int) -> list[MultiVolume]:
        return [volume(n) for n in range(shots)]

    def tests(self, structure: str, patch: tuple) -> list[MultiVolume]:
        return [volume(5)]

    def real(self, structure: str, patch: tuple) -> list[MultiVolume]:
        return []


class Grey(GenesisUNet):
    """A U-Net whose first two features tell the phantoms apart."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = super().forward(image)
        return torch.cat([image, (image - GREY[1]).abs(), 0 * features[:, 2:]], 1)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Base:
    seed_everything(0)
    one = torch.zeros(8).index_fill(0, torch.tensor(0), 1.0)
    rows = {"liver": (10 * one, torch.tensor(-3.5)), "spleen": (30 * one, torch.tensor(-21.0))}
    base = Base("b", Grey(width=8).eval(), rows)
    monkeypatch.setattr(few_shot_cell, "data_of", lambda setting, folder: Phantoms())
    monkeypatch.setattr(few_shot_cell, "base_network", lambda *_, **__: base)
    monkeypatch.setattr(few_shot_cell, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(few_shot_cell, "classes_of", lambda task, data: ("liver", "spleen"))
    return base


def test_the_task_is_nine_published_organs_or_those_of_the_virtual_patients() -> None:
    assert classes_of(FLARE22, "flare22") == KNOWN_PAPER
    assert classes_of(FLARE22, "virtual") == KNOWN_QUICK
    assert classes_of("liver", "flare22") == ("liver",)
    assert (outputs_of(("liver",)), outputs_of(KNOWN_PAPER)) == (1, 10)


def test_cells_are_the_known_rows_on_one_task() -> None:
    assert {cell.structure for cell in CELLS} == {FLARE22}
    assert {cell.shots for cell in CELLS} == {5, 10}
    paper = cells_of("fseft-flare22", "paper")
    presets = [c.preset for c in paper if (c.label, c.kind) == ("LoRA", "swin")]
    assert sorted(presets) == ["corrected"] * 3 + ["faithful"] * 2 * 3
    assert setting_of("fseft-flare22", "paper").data == "flare22"
    assert setting_of("fseft-flare22", "quick") == QUICK


def test_a_cell_learns_all_classes_and_scores_each(base: Base) -> None:
    result = run_cell(CELL, SMALL)
    assert result["parameters"] == 3 * (8 + 1)
    assert [score["class"] for score in result["scores"]] == ["liver", "spleen"]
    assert [score["reference_ml"] for score in result["scores"]] == [pytest.approx(64.0)] * 2
    assert result["loss"][-1] < result["loss"][0] - 0.2
    assert min(score["dice"] for score in result["scores"]) > 0.8


def test_zero_shot_takes_the_structure_of_the_largest_logit_above_zero(base: Base) -> None:
    result = run_cell(replace(CELL, label="zero-shot", method="zero_shot"), SMALL)
    assert result["parameters"] == 0
    assert [score["dice"] for score in result["scores"]] == [1.0, 1.0]
    weight, bias = base.row("liver", "spleen")  # type: ignore[misc]
    assert (weight.shape, bias.tolist()) == ((3, 8), [0.0, -3.5, -21.0])
    assert base.row("liver", "pancreas") is None


def scored(cell: Cell, dice: Sequence[float]) -> dict:
    """Return a result with one value for each of two classes."""
    result = result_of(cell, 0.5)
    return {
        **result,
        "scores": [
            {**score, "dice_plus_one": value, "class": name}
            for score in result["scores"]
            for name, value in zip(("liver", "spleen"), dice, strict=True)
        ],
    }


def test_the_table_has_a_column_for_each_class_and_their_average() -> None:
    chosen = ("LoRA", 5, "faithful")
    lora = tuple(c for c in CELLS if (c.label, c.shots, c.preset) == chosen)
    frame = summary([scored(c, (0.8, 0.4)) for c in lora], lora)
    assert list(frame["column"]) == ["liver", "spleen", "Avg."]
    assert frame["mean"].tolist() == pytest.approx([80, 40, 60])
    assert frame["there"].tolist() == frame["needed"].tolist() == [3, 3, 3]
    assert frame["published"].isna().all()
    assert "1 of 3" in markdown(summary([scored(lora[0], (0.8, 0.4))], lora))
    assert "0 of 3" in markdown(summary([], lora))


def test_a_collected_file_keeps_the_classes(tmp_path: Path) -> None:
    folder, file = tmp_path / "sweep", tmp_path / "all.json"
    claim(folder, {"table": "fseft-flare22"})
    write_json(folder / f"{CELLS[0].name}.json", scored(CELLS[0], (0.8, 0.4)))
    assert collect(folder, file) == 1
    kept, wanted = (scores_frame(read_results(path)) for path in (file, folder))
    assert kept["class"].tolist() == wanted["class"].tolist() == ["liver", "spleen"] * 4
    assert kept["dice_plus_one"].tolist() == wanted["dice_plus_one"].tolist()


def test_the_published_lists_are_read_from_the_converted_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"FLARE22_Tr_{n:04d}" for n in range(1, 5)]
    folder = converted(tmp_path / "Dataset503_FLARE22", [*names, "FLARETs_0001"])
    split = Split(pool=tuple(names), test=("FLARETs_0001",))
    asked = []
    monkeypatch.setattr(
        few_shot_published, "published_split", lambda *given: asked.append(given) or split
    )
    setting = replace(setting_of("fseft-flare22", "paper"), spacing_mm=(2.0, 2.0, 2.0))
    data = data_of(setting, folder)
    support = data.support(FLARE22, (8, 8, 8), shots=2, seed=0)
    assert {v.name for v in support} < set(names)
    (test,) = data.tests(FLARE22, (8, 8, 8))
    assert isinstance(test, MultiVolume)
    assert (test.name, test.classes) == ("FLARETs_0001", KNOWN_PAPER)
    assert set(np.unique(test.labels)) == set(range(10))
    assert set(asked) == {("spleen", "flare22")}
    data.check([CELL])  # type: ignore[attr-defined]
    lacking = converted(tmp_path / "Dataset504_FLARE22", names)
    with pytest.raises(FileNotFoundError, match="lacks FLARETs_0001; unpack"):
        data_of(setting, lacking).check([CELL])  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="got no folder"):
        data_of(setting, None)


def converted(folder: Path, names: Sequence[str]) -> Path:
    """Write a FLARE22 of a few voxels as its data script does."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    labels = np.repeat(np.arange(10, dtype=np.uint8), 80).reshape(20, 5, 8)
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    for name in names:
        image = np.where(labels > 0, 100.0, -50.0).astype(np.float32)
        nib.save(nib.Nifti1Image(image, affine), folder / "imagesTr" / f"{name}_0000.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), folder / "labelsTr" / f"{name}.nii.gz")
    classes = {"background": 0, **{name: n for n, name in enumerate(KNOWN_PAPER, start=1)}}
    write_json(folder / "dataset.json", {
        "channel_names": {"0": "CT"}, "labels": classes, "numTraining": len(names),
        "file_ending": ".nii.gz",
    })  # fmt: skip
    return folder
