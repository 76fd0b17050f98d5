import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmtutor.core.geometry import Grid, voxel_to_world, world_to_voxel
from fmtutor.data.cases import Case
from fmtutor.data.resampling import resample_case
from fmtutor.engine.regions_of_interest import (
    around,
    case_region,
    inside_case,
    label_centre,
    lattice,
    resample,
    touches_border,
    whole,
)

CASE = ((60, 50, 20), (1.0, 1.0, 2.0))
SIZE = (16, 16, 16)


def _smooth(shape, seed=0):
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    return torch.nn.functional.avg_pool3d(values[None, None], 3, 1, 1)[0, 0]


def test_a_region_is_centred_on_the_click_and_stays_in_the_volume():
    middle = around((30, 25, 10), case=CASE, size=SIZE, spacing_mm=1.0)
    assert middle.step == (1.0, 1.0, 0.5)
    assert np.abs(middle.to_case([7.5] * 3) - [30, 25, 10]).max() <= 0.5
    corner = around((0, 49, 10), case=CASE, size=SIZE, spacing_mm=1.0)
    low, high = corner.field()
    assert low[0] == -0.5
    assert high[1] == 49.5


def test_where_the_volume_is_thinner_than_the_region_it_lies_in_the_middle():
    region = around((30, 25, 0), case=CASE, size=SIZE, spacing_mm=3.0)
    low, high = region.field()
    assert low[2] + high[2] == pytest.approx(19)
    assert region.box(CASE[0])[2] == slice(0, 20)


def test_whole_holds_the_volume_in_its_proportions():
    region = whole(case=CASE, size=SIZE, spacing_mm=1.0)
    assert region.box(CASE[0]) == (slice(0, 60), slice(0, 50), slice(0, 20))
    assert np.ptp(np.array(region.step) * CASE[1]) < 1e-6
    small = whole(case=((5, 4, 3), (1.0, 1.0, 1.0)), size=SIZE, spacing_mm=1.0)
    assert small.step == (1, 1, 1)


def test_at_the_cases_own_spacing_voxels_are_taken_as_they_are():
    image = torch.randn(60, 50, 20)
    region = around((31, 20, 9), case=(CASE[0], (3.0, 3.0, 3.0)), size=SIZE, spacing_mm=3.0)
    box = region.box(CASE[0])
    cut = resample(image, case_region(CASE[0]), region, fill=-1.0)
    assert torch.equal(cut, image[box])
    found_box, mask = inside_case(cut, region, CASE[0])
    assert found_box == box
    assert np.array_equal(mask, (image[box] > 0).numpy())


def test_a_region_beyond_the_volume_is_filled_and_never_answers_outside():
    image = torch.ones(4, 4, 4)
    region = lattice((-6, -6, -6), (1, 1, 1), SIZE)
    cut = resample(image, case_region((4, 4, 4)), region, fill=-7.0)
    assert (cut == 1).sum() == 64
    assert (cut == -7).sum() == 16**3 - 64
    box, mask = inside_case(torch.ones(SIZE), region, (4, 4, 4))
    assert box == (slice(0, 4),) * 3
    assert mask.all()


def test_an_answer_beside_a_thin_volume_is_no_answer():
    region = lattice((0, 0, -6), (1, 1, 1), SIZE)
    logits = torch.full(SIZE, -1.0)
    logits[4:8, 4:8, 14:] = 1.0  # the volume of 4 slices has ended there
    box, mask = inside_case(logits, region, (16, 16, 4))
    assert mask.shape == tuple(part.stop - part.start for part in box)
    assert not mask.any()


def test_cutting_equals_resampling_the_whole_case():
    image = _smooth((40, 36, 30)).numpy()
    case = Case(name="a", image=image, affine=np.diag([1.5, 1.5, 2.0, 1.0]))
    there = resample_case(case, (3.0, 3.0, 3.0))
    start = world_to_voxel(voxel_to_world(np.zeros(3), there.affine), case.affine)
    region = lattice(start, (2, 2, 1.5), there.image.shape)
    cut = resample(torch.from_numpy(image), case_region(image.shape), region, fill=0.0)
    assert np.abs(cut.numpy() - there.image).max() < 1e-5


def test_an_answer_comes_back_as_full_interpolation_would_give_it():
    logits, shape = _smooth(SIZE, 1), (60, 50, 20)
    region = around((30, 25, 10), case=CASE, size=SIZE, spacing_mm=2.5)
    box, mask = inside_case(logits, region, shape)
    full = resample(logits, region, case_region(shape), fill=-9.0)
    assert np.array_equal(mask, (full[box] > 0).numpy())
    outside = full.clone()
    outside[box] = -9.0
    assert (outside == -9).all()


@settings(max_examples=25, deadline=None)
@given(
    centre=st.tuples(st.floats(0, 59), st.floats(0, 49), st.floats(0, 19)),
    spacing=st.tuples(*[st.floats(0.4, 5)] * 3),
    working=st.floats(0.7, 4),
    angle=st.floats(-0.6, 0.6),
    flip=st.booleans(),
)
def test_voxel_to_region_to_voxel_is_exact_on_any_grid(centre, spacing, working, angle, flip):
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing) @ np.diag([-1, -1, 1] if flip else [1, 1, 1])
    affine[:3, 3] = [12, -7, 100]
    grid = Grid((60, 50, 20), affine)
    region = around(centre, case=(grid.shape, grid.spacing_mm), size=SIZE, spacing_mm=working)
    voxels = np.random.default_rng(0).integers(0, grid.shape, (20, 3))
    back = region.to_case(region.from_case(voxels))
    assert np.abs(back - voxels).max() < 1e-9
    # the same point of the patient, whichever way it is reached
    there = affine.copy()
    there[:3, :3] = affine[:3, :3] * region.step
    there[:3, 3] = voxel_to_world(np.array(region.start), affine)
    world = voxel_to_world(region.from_case(voxels), there)
    assert np.abs(world - voxel_to_world(voxels, affine)).max() < 1e-6
    box = region.box(grid.shape)
    inside = [part.start <= v < part.stop for part, v in zip(box, voxels[0], strict=True)]
    assert all(inside) == bool(region.holds(voxels[0]))


def test_touching_counts_only_faces_beyond_which_the_volume_goes_on():
    region = around((30, 25, 10), case=CASE, size=SIZE, spacing_mm=1.0)
    logits = torch.full(SIZE, -1.0)
    assert not touches_border(logits, region, CASE[0])
    logits[0, 4:9, 4:9] = 1
    assert touches_border(logits, region, CASE[0])
    assert not touches_border(logits, region, CASE[0], threshold=2.0)
    at_edge = around((0, 25, 10), case=CASE, size=SIZE, spacing_mm=1.0)
    assert not touches_border(logits, at_edge, CASE[0])


def test_a_field_of_view_can_be_cut_into_other_voxels():
    region = around((30, 25, 10), case=CASE, size=SIZE, spacing_mm=2.0)
    coarse = region.with_shape((4, 4, 8))
    assert np.allclose(coarse.field(), region.field())
    assert coarse.covers(region)
    assert region.covers(coarse)
    assert not region.overlaps(
        around((200, 25, 10), case=((400, 50, 20), CASE[1]), size=SIZE, spacing_mm=2.0)
    )


def test_the_oracle_is_the_centre_of_the_labels_box():
    mask = np.zeros((9, 9, 9), bool)
    mask[2:5, 3:4, 0:8] = True
    assert label_centre(mask) == (3.0, 3.0, 3.5)
    with pytest.raises(ValueError, match="empty mask"):
        label_centre(np.zeros((3, 3, 3), bool))
