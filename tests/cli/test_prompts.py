"""Typed clicks and boxes, alone and through `fmtutor predict`."""

import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from fmtutor.cli import main
from fmtutor.cli.prompts import prompts_of
from fmtutor.core.ask import Boxes, Clicks, answerable
from fmtutor.engine.prediction import Prediction


def test_a_minus_marks_a_click_outside_and_a_box_names_its_last_voxel():
    clicks, box = prompts_of(("1,2,3", "-4,5,6", " 0, 0, 0 "), "1,2,3,7,8,9").parts
    assert clicks == Clicks(((1, 2, 3), (4, 5, 6), (0, 0, 0)), (True, False, True))
    assert box == Boxes(((1, 2, 3, 8, 9, 10),))


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "a,b,c", "1.5,2,3", "--1,2,3", ""])
def test_what_is_no_voxel_is_refused_with_the_way_to_write_it(text):
    with pytest.raises(ValueError, match=r"3 whole numbers from 0 .* --click=-10,20,30"):
        prompts_of((text,), None)


def test_a_box_of_too_few_numbers_or_turned_around_is_refused():
    with pytest.raises(ValueError, match="6 whole numbers"):
        prompts_of((), "1,2,3")
    with pytest.raises(ValueError, match="ends after it starts"):
        prompts_of((), "5,5,5,1,1,1")


class Marks:
    """Segments the clicked voxels and the box."""

    @staticmethod
    def predict(model, case, ask):
        parts = answerable(ask, Clicks, Boxes, system="marks")
        mask = np.zeros(case.image.shape, bool)
        for h0, w0, d0, h1, w1, d1 in parts[Boxes].boxes_vox if Boxes in parts else ():
            mask[h0:h1, w0:w1, d0:d1] = True
        clicks = parts.get(Clicks, Clicks(((0, 0, 0),), (False,)))
        for voxel, positive in zip(clicks.points_vox, clicks.positive, strict=True):
            mask[voxel] = positive
        return Prediction.from_masks({"structure": mask}, case)


@pytest.fixture
def image(tmp_path, monkeypatch):
    shipped = SimpleNamespace(load_shipped=lambda name: (None, Marks, {"name": name}))
    monkeypatch.setitem(sys.modules, "fmtutor.hub.models", shipped)
    path = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((12, 10, 8), np.int16), np.diag([2.0, 2, 3, 1])), path)
    return path


def test_clicks_and_a_box_reach_the_network(image, tmp_path):
    out = tmp_path / "out.nii.gz"
    arguments = ["--click", "11,9,7", "--click=-2,2,2", "--box", "1,1,1,3,3,3"]
    assert main(["predict", str(image), str(out), "--weights", "sam_med3d", *arguments]) == 0
    mask = np.asarray(nib.load(out).dataobj) > 0
    assert mask.sum() == 27 - 1 + 1
    assert mask[11, 9, 7]
    assert not mask[2, 2, 2]


def test_a_click_of_letters_is_one_line_and_status_2(image, tmp_path, capsys):
    assert main(["predict", str(image), str(tmp_path / "out.nii"), "--click", "x,y,z"]) == 2
    assert capsys.readouterr().err.startswith("error: a click, 'x,y,z', is 3 whole numbers")


def test_clicks_with_classes_are_refused(image, tmp_path, capsys):
    asked = ["--click", "1,1,1", "--ask", "liver"]
    assert main(["predict", str(image), str(tmp_path / "out.nii"), *asked]) == 2
    assert "leave those out" in capsys.readouterr().err
