import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.data.transforms import normalise, normalised


def test_ct_is_clipped_to_the_window_and_scaled_to_one():
    image = np.array([-1024.0, -175.0, 37.5, 250.0, 3000.0])
    out = normalise(image, "CT")
    assert out.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert out.dtype == np.float32


def test_mr_keeps_its_zero_and_does_not_depend_on_the_scale_of_the_scanner():
    image = np.random.default_rng(0).gamma(2.0, 50.0, (12, 10, 9)).astype(np.float32)
    image[:6] = 0
    out = normalise(image, "MR")
    assert out[:6].max() == 0.0
    assert out.max() == 1.0
    assert normalise(image * 7, "MR") == pytest.approx(out, abs=1e-5)
    body = image[image > image.mean()]
    assert out[image <= np.percentile(body, 98)].max() < 1.0


def test_an_mr_patch_without_signal_stays_zero():
    assert normalise(np.zeros((4, 3, 2), np.float32), "MR").max() == 0.0


def test_another_modality_is_refused():
    with pytest.raises(ValueError, match="modality must be 'CT' or 'MR', got 'PET'; set it when"):
        normalise(np.zeros((2, 2, 2)), "PET")


def test_a_normalised_case_keeps_its_geometry_and_labels():
    affine = np.diag([-3.0, 2.0, 5.0, 1.0])
    case = Case(
        name="x",
        image=np.full((3, 4, 5), 37.5, np.float32),
        affine=affine,
        labels=np.ones((3, 4, 5), np.uint8),
        table={1: "liver"},
    )
    out = normalised(case)
    assert np.unique(out.image).tolist() == [0.5]
    assert out.affine is affine
    assert out.labels is case.labels
    assert case.image.max() == 37.5
