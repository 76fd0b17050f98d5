"""`fmtutor predict` with a stand-in model, on an anisotropic volume that is not stored in RAS."""

import io
import json
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fmtutor.cli import main
from fmtutor.core.ask import Classes, answerable, supports_of
from fmtutor.engine.prediction import Prediction
from tests.cli.test_display import Terminal

AFFINE = np.array([[0, 0, -4.0, 60], [-1.5, 0, 0, 40], [0, 2.0, 0, -90], [0, 0, 0, 1]])


class Threshold:
    """Calls everything above 50 HU liver, and everything above 150 HU spleen."""

    @staticmethod
    def predict(model, case, ask):
        wanted = answerable(ask, Classes, system="threshold")[Classes].names or ("liver", "spleen")
        levels = {"liver": 50, "spleen": 150}
        return Prediction.from_masks({name: case.image > levels[name] for name in wanted}, case)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write an image and a reference that agree but for one of 60 slices-voxels of liver."""
    shipped = SimpleNamespace(
        load_shipped=lambda name: (None, Threshold, {"name": name}),
        classes_of=lambda card: (),
        bare_names=tuple,
    )
    monkeypatch.setitem(sys.modules, "fmtutor.hub.models", shipped)
    labels = np.zeros((24, 20, 16), dtype=np.uint8)
    labels[4:16, 5:15, 3:13] = 5  # liver in TotalSegmentator v2: 1200 voxels of 12 mm3, 14.4 ml
    labels[18:21, 5:9, 3:6] = 1  # spleen: 36 voxels, 0.4 ml
    image = np.where(labels == 5, 100, np.where(labels == 1, 200, -50)).astype(np.int16)
    image[4, 5:15, 3:13] = 0  # 100 voxels of the liver are missed
    image[labels == 1] = 200
    for name, array in (("ct", image), ("ref", labels)):
        nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_the_label_map_lies_on_the_native_grid(files, capsys):
    out = files / "out.nii.gz"
    assert main(["predict", str(files / "ct.nii.gz"), str(out), "--ask", "spleen"]) == 0
    written, image = nib.load(out), nib.load(files / "ct.nii.gz")
    np.testing.assert_allclose(written.affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(written.dataobj) > 0, np.asarray(image.dataobj) > 150)
    assert json.loads((files / "out.json").read_text()) == {"1": "spleen"}
    assert sorted(path.name for path in files.iterdir()) == [
        "ct.nii.gz",
        "out.json",
        "out.nii.gz",
        "ref.nii.gz",
    ]


def test_a_terminal_is_told_what_takes_long_and_a_file_is_not(files, monkeypatch):
    words = ["predict", str(files / "ct.nii.gz"), str(files / "out.nii.gz"), "--ask", "spleen"]
    screens = [Terminal(), io.StringIO()]
    for screen in screens:
        monkeypatch.setattr("sys.stdout", screen)
        assert main(words) == 0
    shown, kept = (screen.getvalue() for screen in screens)
    for step in ("reading ct.nii.gz", "loading default", "segmenting ", "writing out.nii.gz"):
        assert f"\r\x1b[2K{step}" in shown
    assert kept == f"wrote {files / 'out.nii.gz'}\n"


def test_a_reference_gives_a_table_and_a_picture(files, capsys):
    out = files / "out.nii.gz"
    assert (
        main(["predict", str(files / "ct.nii.gz"), str(out), "--labels", str(files / "ref.nii.gz")])
        == 0
    )
    frame = pd.read_csv(files / "out.scores.csv").set_index("region")
    assert list(frame.index) == ["liver", "spleen"]
    assert list(frame["headline"]) == [True, False]
    # 1100 of 1200 found, and the 36 voxels of spleen are above the liver's level too
    assert frame.loc["liver", "dice"] == pytest.approx(2 * 1100 / (1136 + 1200), abs=1e-4)
    assert frame.loc["spleen", "dice"] == 1
    assert frame.loc["liver", "reference_ml"] == pytest.approx(14.4, abs=1e-3)
    rows = json.loads((files / "out.scores.json").read_text())["rows"]
    assert [row["region"] for row in rows] == ["liver", "spleen"]
    text = capsys.readouterr().out
    assert text.index("liver") < text.index("below 10 ml") < text.index("spleen")
    assert np.asarray(Image.open(files / "out.png").convert("RGB")).std() > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ct.nii.gz", "out.png"], "OUT must end in"),
        (["ct.nii.gz", "out.dcm"], "DICOM-SEG refers to a DICOM series"),
        (["ct.nii.gz", "out.nii", "--labels", "none.nii"], "no such file"),
        (["ct.nii.gz", "out.nii", "--labels", "ref.nii.gz", "--table", "odd"], "unknown"),
    ],
)
def test_requests_that_cannot_be_meant_are_one_clear_error(
    files, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(files)
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_a_reference_of_another_place_is_refused(files, capsys):
    far = AFFINE.copy()
    far[:3, 3] += 5000
    labels = np.asarray(nib.load(files / "ref.nii.gz").dataobj)
    nib.save(nib.Nifti1Image(labels, far), files / "far.nii.gz")
    words = [
        "predict",
        str(files / "ct.nii.gz"),
        str(files / "o.nii"),
        "--labels",
        str(files / "far.nii.gz"),
    ]
    assert main(words) == 2
    assert "one patient in one place" in capsys.readouterr().err


def test_a_json_table_beside_the_reference_names_its_ids(files):
    labels = np.asarray(nib.load(files / "ref.nii.gz").dataobj)
    nib.save(nib.Nifti1Image((labels == 5).astype(np.uint8), AFFINE), files / "mine.nii.gz")
    (files / "mine.json").write_text('{"1": "liver"}')
    out, mine = files / "o.nii.gz", files / "mine.nii.gz"
    assert main(["predict", str(files / "ct.nii.gz"), str(out), "--labels", str(mine)]) == 0
    assert list(pd.read_csv(files / "o.scores.csv")["region"]) == ["liver"]


class Examples:
    """Answers with everything brighter than the mean of what its examples show."""

    @staticmethod
    def predict(model, case, ask):
        (support,) = supports_of(ask, system="examples")
        shown = [im[mask].mean() for im, mask in zip(support.images, support.masks, strict=True)]
        level = np.mean(shown) * 425 - 175  # normalised intensities of the CT window, as HU
        return Prediction.from_masks({support.name: case.image > level - 60}, case)


def test_examples_are_read_and_asked(files, monkeypatch):
    monkeypatch.setattr(
        sys.modules["fmtutor.hub.models"], "load_shipped", lambda name: (None, Examples, {})
    )
    reference = nib.load(files / "ref.nii.gz")
    mask = (np.asarray(reference.dataobj) == 5).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, AFFINE), files / "liver.nii.gz")
    out, ct = str(files / "out.nii.gz"), str(files / "ct.nii.gz")
    words = ["--examples", ct, "--masks", str(files / "liver.nii.gz"), "--ask", "my_liver"]
    assert main(["predict", ct, out, *words]) == 0
    assert json.loads((files / "out.json").read_text()) == {"1": "my_liver"}
    assert np.asarray(nib.load(out).dataobj)[6:14, 7:13, 5:11].all()


def test_an_example_without_its_mask_is_refused(files, capsys):
    ct = str(files / "ct.nii.gz")
    assert main(["predict", ct, str(files / "out.nii.gz"), "--examples", ct]) != 0
    assert "examples need a mask each" in capsys.readouterr().err


def test_an_encoder_has_nothing_to_answer_with(files, capsys, monkeypatch):
    monkeypatch.undo()  # the shipped models themselves
    ct = str(files / "ct.nii.gz")
    assert main(["predict", ct, str(files / "out.nii.gz"), "--weights", "swin_ssl"]) != 0
    assert "segments nothing" in capsys.readouterr().err
