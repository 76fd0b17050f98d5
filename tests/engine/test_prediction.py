import json

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case
from fmtutor.engine.prediction import Prediction, largest_component

# Stored as "LIA" with three spacings: reorientation flips one axis and swaps two.
NATIVE = Grid(
    (12, 10, 6),
    np.array([[-1.0, 0, 0, 50], [0, 0, 2.5, 3], [0, -1.25, 0, 7], [0, 0, 0, 1]]),
)


@pytest.fixture
def case():
    ras = NATIVE.to_ras()
    return Case(name="a", image=np.zeros(ras.shape, np.float32), affine=ras.affine, native=NATIVE)


def _box(case, *box):
    mask = np.zeros(case.image.shape, bool)
    mask[box] = True
    return mask


def test_masks_come_back_as_they_were(case):
    mask = _box(case, slice(2, 7), slice(1, 3), slice(4, 8))
    prediction = Prediction.from_masks({"liver": mask}, case)
    assert np.array_equal(prediction.mask("liver"), mask)
    assert prediction.mask("liver").dtype == bool
    assert prediction.probabilities.shape == (1, *case.image.shape)


def test_the_painting_order_decides_where_masks_overlap(case):
    liver = _box(case, slice(0, 8), slice(0, 4), slice(0, 8))
    lesion = _box(case, slice(2, 4), slice(1, 3), slice(2, 4))
    prediction = Prediction.from_masks({"lesion": lesion, "liver": liver}, case)
    below, table = prediction.label_map(("lesion", "liver"))
    above, _ = prediction.label_map(("liver", "lesion"))
    assert table == {1: "lesion", 2: "liver"}
    assert np.array_equal(below == 2, liver)
    assert not (below == 1).any()
    assert np.array_equal(above == 1, lesion)
    only, table = prediction.label_map(("liver",))
    assert table == {2: "liver"}
    assert np.array_equal(only == 2, liver)


def test_exclusive_classes_take_the_most_probable_channel_below_one_half_too(case):
    scores = np.zeros((3, *case.image.shape), np.float32)
    scores[0], scores[1], scores[2] = 0.4, 0.35, 0.25
    scores[:, :5] = np.array([0.3, 0.25, 0.45])[:, None, None, None]
    prediction = Prediction(
        names=("background", "liver", "spleen"),
        scores=scores,
        grid=case.grid,
        working=case.grid,
        exclusive=True,
    )
    spleen = _box(case, slice(0, 5))
    assert np.array_equal(prediction.mask("spleen"), spleen)
    labels, table = prediction.label_map()
    assert table == {1: "liver", 2: "spleen"}
    assert np.array_equal(labels == 2, spleen)
    assert not (labels == 1).any()


def test_scores_on_a_coarser_grid_are_interpolated_before_the_threshold(case):
    working = case.grid.with_spacing((3.0, 2.5, 2.4))
    h = np.arange(working.shape[0], dtype=np.float32)[:, None, None]
    scores = np.broadcast_to(h / (working.shape[0] - 1), working.shape)[None].copy()
    prediction = Prediction(names=("a",), scores=scores, grid=case.grid, working=working)
    mask = prediction.mask("a")
    assert mask.shape == case.image.shape
    assert mask.any(axis=(1, 2)).tolist() == [False] * 6 + [True] * 6


def test_saving_writes_the_native_grid_with_its_affine_and_a_table(tmp_path, case):
    mask = _box(case, slice(2, 7), slice(1, 3), slice(4, 8))
    Prediction.from_masks({"liver": mask}, case).save(tmp_path / "out.nii.gz")
    image = nib.load(tmp_path / "out.nii.gz")
    assert image.shape == NATIVE.shape
    assert np.array_equal(image.affine, NATIVE.affine)
    assert np.array_equal(np.asarray(image.dataobj) == 1, NATIVE.array_from_ras(mask))
    assert json.loads((tmp_path / "out.json").read_text()) == {"1": "liver"}


def test_only_the_largest_part_is_kept_where_it_is_asked_for(case):
    mask = _box(case, slice(0, 3), slice(0, 3), slice(0, 3)) | _box(case, slice(5, 12))
    scores = np.stack([mask, mask])
    prediction = Prediction(
        names=("a", "b"),
        scores=scores,
        grid=case.grid,
        working=case.grid,
        largest_component=("b",),
    )
    assert np.array_equal(prediction.mask("a"), mask)
    assert np.array_equal(prediction.mask("b"), _box(case, slice(5, 12)))


def test_parts_that_touch_at_an_edge_only_are_two():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, :2] = mask[1, 1, :] = True
    assert largest_component(mask).sum() == 3
    assert not largest_component(np.zeros((2, 2, 2), bool)).any()


def test_an_unknown_class_and_a_wrong_shape_are_refused(case):
    prediction = Prediction.from_masks({"liver": _box(case, slice(0, 2))}, case)
    with pytest.raises(ValueError, match="did you mean liver"):
        prediction.mask("livr")
    with pytest.raises(ValueError, match="spleen"):
        prediction.label_map(("spleen",))
    with pytest.raises(ValueError, match="scores must be"):
        Prediction(names=("a", "b"), scores=prediction.scores, grid=case.grid, working=case.grid)


@pytest.mark.parametrize("flip", [False, True])
def test_resampling_a_part_gives_the_mask_that_resampling_all_gives(case, flip):
    working = case.grid.with_spacing((2.0, 2.5, 3.1))
    if flip:  # a working grid that runs the other way along H
        turn = np.diag([-1.0, 1.0, 1.0, 1.0])
        turn[0, 3] = working.shape[0] - 1
        working = Grid(working.shape, working.affine @ turn)
    generator = np.random.default_rng(0)
    scores = np.zeros((2, *working.shape), np.float32)
    inner = tuple(slice(0 if axis == 1 else 2, 4) for axis in range(3))
    scores[(0, *inner)] = generator.random(scores[(0, *inner)].shape)
    scores[1] = generator.random(working.shape)
    prediction = Prediction(names=("a", "b"), scores=scores, grid=case.grid, working=working)
    for name in prediction.names:
        expected = prediction.probability(name) > 0.5
        assert 0 < expected.sum() < expected.size
        assert np.array_equal(prediction.mask(name), expected)
