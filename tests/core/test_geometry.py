"""Grids: reorientation is exact, and world coordinates survive everything."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.geometry import (
    Grid,
    check_shape,
    corners_mm,
    same_grid,
    voxel_to_world,
    world_to_voxel,
)

SHAPE = (5, 7, 4)


def grid_of(codes: str, spacing_mm: tuple[float, ...] = (0.7, 1.3, 4.0)) -> Grid:
    """Return a grid whose axes point where three letters say."""
    orientation = nib.orientations.axcodes2ornt(tuple(codes))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (patient_axis, sign) in enumerate(orientation):
        affine[int(patient_axis), axis] = sign * spacing_mm[axis]
    affine[:3, 3] = (-31.5, 12.25, 900.0)
    return Grid(SHAPE, affine)


def rotated(grid: Grid, degrees: float) -> Grid:
    """Turn a grid about an axis that is none of its own."""
    axis = np.array([0.3, -0.5, 0.81]) / np.linalg.norm([0.3, -0.5, 0.81])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return Grid(grid.shape, turn @ grid.affine)


ALL_CODES = [
    "".join(sign[i] for i, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(range(3))
    for signs in itertools.product(("RAS", "LPI"), repeat=3)
]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorientation_moves_no_voxel_in_the_world(codes: str) -> None:
    grid = grid_of(codes)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    ras, moved = grid.to_ras(), grid.array_to_ras(array)
    assert grid.orientation == codes
    assert ras.orientation == "RAS"
    assert moved.shape == ras.shape
    for voxel in [(0, 0, 0), (4, 6, 3), (1, 5, 2)]:
        there = np.round(world_to_voxel(voxel_to_world(np.array(voxel), grid.affine), ras.affine))
        assert moved[tuple(there.astype(int))] == array[voxel]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_the_way_back_is_exact_with_leading_channels(codes: str) -> None:
    grid = grid_of(codes)
    array = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    assert np.array_equal(grid.array_from_ras(grid.array_to_ras(array)), array)


def test_reorientation_agrees_with_nibabel_on_an_oblique_grid() -> None:
    grid = rotated(grid_of("PIR"), 17.0)
    array = np.random.default_rng(0).normal(size=SHAPE)
    theirs = nib.as_closest_canonical(nib.Nifti1Image(array, grid.affine))
    assert np.array_equal(grid.array_to_ras(array), np.asarray(theirs.dataobj))
    np.testing.assert_allclose(grid.to_ras().affine, theirs.affine, atol=1e-4)


def test_an_oblique_grid_is_told_from_a_straight_one() -> None:
    straight = grid_of("LPS")
    assert not straight.is_oblique
    tilted = rotated(straight, 12.0)
    assert tilted.is_oblique
    assert 5.0 < tilted.tilt_degrees < 12.0
    assert tilted.spacing_mm == straight.spacing_mm
    assert tilted.voxel_ml == pytest.approx(0.7 * 1.3 * 4.0 / 1000)


def test_world_and_voxel_coordinates_invert_each_other() -> None:
    grid = rotated(grid_of("LSP"), 20.0)
    points = np.random.default_rng(0).uniform(-3, 9, size=(4, 6, 3))
    back = world_to_voxel(voxel_to_world(points, grid.affine), grid.affine)
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_voxel_to_world_follows_the_columns_of_the_affine() -> None:
    grid = grid_of("LPS")
    assert voxel_to_world(np.array([1, 2, 3]), grid.affine) == pytest.approx(
        [-31.5 - 0.7, 12.25 - 2.6, 912.0]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:, :3], "4x4"),
        (lambda a: a * np.nan, "finite"),
        (lambda a: a * [[1, 0, 1, 1]] * 1.0, "spacing must be positive"),
        (lambda a: np.vstack([a[:3], [0, 0, 0, 2]]), "last row"),
        (lambda a: a[:, [0, 0, 2, 3]], "invertible"),
    ],
)
def test_an_unusable_affine_is_refused(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(SHAPE, change(grid_of("LPS").affine))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 1), (4, 0, 4)])
def test_a_grid_has_three_axes_with_voxels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three axes"):
        check_shape(shape)


def test_an_array_of_another_shape_is_not_reoriented() -> None:
    with pytest.raises(ValueError, match="last axes"):
        grid_of("ASL").array_to_ras(np.zeros(SHAPE[::-1]))


def test_a_new_spacing_keeps_centre_and_axes_and_covers_the_old_field_of_view() -> None:
    grid = rotated(grid_of("RAS"), 9.0)
    new = grid.with_spacing((3.0, 3.0, 3.0))
    assert new.spacing_mm == (3.0, 3.0, 3.0)
    assert new.shape == (2, 4, 6)  # 3.5, 9.1 and 16 mm, rounded up
    np.testing.assert_allclose(corners_mm(new).mean(0), corners_mm(grid).mean(0), atol=1e-9)
    extent = world_to_voxel(corners_mm(grid), new.affine)
    assert (extent > -0.5).all()
    assert (extent < np.array(new.shape) - 0.5).all()


def test_its_own_spacing_gives_the_same_grid() -> None:
    grid = grid_of("RAS")
    assert same_grid(grid, grid.with_spacing(grid.spacing_mm), tolerance_mm=1e-9)


@pytest.mark.parametrize("spacing", [(1.0, 0.0, 1.0), (1.0, -2.0, 1.0), (1.0, np.nan, 1.0)])
def test_a_spacing_must_be_positive(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive"):
        grid_of("RAS").with_spacing(spacing)


def test_grids_are_the_same_within_a_tolerance_at_their_corners() -> None:
    grid = grid_of("LAS")
    near = Grid(
        SHAPE, grid.affine + 1e-4 * np.eye(4)[[1, 2, 0, 3]] * [[1, 1, 1, 0]] * [[1], [1], [1], [0]]
    )
    far = Grid(SHAPE, grid.affine + np.array([[0, 0, 0, 0.2], *np.zeros((3, 4))]))
    assert same_grid(grid, near)
    assert not same_grid(grid, far)
    assert not same_grid(grid, Grid(SHAPE[::-1], grid.affine))
