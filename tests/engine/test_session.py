from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.ask import Boxes, Clicks, PreviousMask, Scribbles, Support
from fmtutor.core.geometry import Grid
from fmtutor.data.dicom import read_dicom
from fmtutor.data.dicom_seg import read_dicom_seg
from fmtutor.engine.session import Session, segment
from tests.data.dicom_series import write_series
from tests.engine.promptable_network import NearAndAlike, ball_case


def _truth(case):
    return case.image > 0


@pytest.fixture
def network():
    return NearAndAlike()


def test_masks_are_saved_on_the_files_own_grid(tmp_path):
    affine = np.array([[0, -3.0, 0, 9], [0, 0, -3.0, 4], [3.0, 0, 0, 1], [0, 0, 0, 1]])
    native = Grid((12, 40, 40), affine)
    ras = native.to_ras()
    case = replace(ball_case(ras.shape, affine=ras.affine), native=native)
    session = Session(NearAndAlike(), case, structures=("spleen",), roi="first_click")
    session.click((10, 10, 6))
    session.save(tmp_path / "out.nii.gz")
    image = nib.load(tmp_path / "out.nii.gz")
    assert image.shape == native.shape
    stored = np.asarray(image.dataobj) > 0
    assert np.array_equal(native.array_to_ras(stored), session.mask())


def test_masks_are_saved_as_dicom_seg(tmp_path):
    write_series(series := tmp_path / "series")
    case = read_dicom(series)
    session = Session(NearAndAlike(), case, structures=("spleen", "liver"), roi="first_click")
    session.click(tuple(size // 2 for size in case.image.shape))
    session.save(tmp_path / "out.dcm", series=series)
    back = read_dicom_seg(tmp_path / "out.dcm", case)
    assert np.array_equal(back.mask("spleen"), session.mask("spleen"))


def test_segment_answers_clicks_one_by_one(network):
    case = ball_case()
    clicks = Clicks(((1, 1, 1), (10, 10, 6), (12, 10, 6)), (False, True, True))
    found = segment(network, case, clicks, roi="first_click", name="ball")
    assert found.names == ("ball",)
    assert found.mask("ball")[10, 10, 6]
    assert len(network.decoded) == 3


def test_segment_answers_boxes_scribbles_and_masks():
    case, stroke = ball_case(), np.zeros((40, 40, 12), bool)
    boxes = Boxes(((2, 2, 2, 5, 5, 5), (30, 30, 2, 35, 35, 6)))
    found = segment(NearAndAlike(), case, boxes, roi="first_click").mask("structure")
    assert found.sum() == 27 + 100
    stroke[10:13, 10, 6] = True
    assert segment(NearAndAlike(), case, Scribbles(stroke)).mask("structure")[11, 10, 6]
    alone = segment(NearAndAlike(), case, PreviousMask(_truth(case)), roi="first_click")
    assert (alone.mask("structure") & _truth(case)).sum() > 0.5 * _truth(case).sum()
    with pytest.raises(ValueError, match="several boxes"):
        segment(NearAndAlike(), case, boxes & Clicks(((3, 3, 3),), (True,)))
    support = Support((np.eye(4, dtype=np.float32),), (np.eye(4, dtype=bool),))
    with pytest.raises(ValueError, match="near cannot answer Support"):
        segment(NearAndAlike(), case, support, system="near")
