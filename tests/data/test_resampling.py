"""Resampling: equal grids are exact, positions are right to a hundredth of a voxel."""

import numpy as np
import pytest

from fmtutor.core.geometry import Grid, corners_mm, voxel_to_world
from fmtutor.data.cases import Case
from fmtutor.data.resampling import resample_case, to_grid


def grid_of(columns, origin, shape) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, dtype=float).T
    affine[:3, 3] = origin
    return Grid(shape, affine)


ANISOTROPIC = grid_of([(0, 1.1, 0), (0, 0, -2.5), (-0.8, 0, 0)], (40, -20, 300), (21, 13, 30))
"""Axes run A, I, L."""


def turned(grid: Grid, degrees: float) -> Grid:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centre = corners_mm(grid).mean(axis=0)
    affine = turn @ grid.affine
    affine[:3, 3] += centre - corners_mm(Grid(grid.shape, affine)).mean(axis=0)
    return Grid(grid.shape, affine)


def plane(grid: Grid) -> np.ndarray:
    """Return intensities that are a linear function of the position in mm."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return (voxel_to_world(voxels, grid.affine) @ [1.0, -2.0, 0.5] + 7.0).astype(np.float32)


def inner(grid: Grid, scale: float = 0.6) -> Grid:
    """Return a smaller grid of other spacing about the same centre."""
    small = np.array(grid.affine)
    small[:3, :3] *= scale
    centre = corners_mm(grid).mean(axis=0)
    out = Grid(grid.shape, small)
    small[:3, 3] += centre - corners_mm(out).mean(axis=0)
    return Grid(grid.shape, small)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_equal_grids_are_voxel_exact(mode: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, *ANISOTROPIC.shape)).astype(np.float32)
    same = Grid(ANISOTROPIC.shape, ANISOTROPIC.affine.copy())
    out = to_grid(values, ANISOTROPIC, same, mode=mode)
    assert np.array_equal(out, values)
    assert out is not values


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_reoriented_grids_are_voxel_exact(mode: str) -> None:
    values = np.random.default_rng(0).normal(size=(2, *ANISOTROPIC.shape)).astype(np.float32)
    out = to_grid(values, ANISOTROPIC, ANISOTROPIC.to_ras(), mode=mode)
    assert np.array_equal(out, ANISOTROPIC.array_to_ras(values))


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_a_shift_by_whole_voxels_is_exact_and_fills_the_rest(mode: str) -> None:
    values = np.random.default_rng(0).normal(size=ANISOTROPIC.shape).astype(np.float32)
    affine = ANISOTROPIC.affine.copy()
    affine[:3, 3] = voxel_to_world(np.array([2, -3, 0]), affine)
    out = to_grid(values, ANISOTROPIC, Grid(ANISOTROPIC.shape, affine), mode=mode, fill=-9.0)
    assert np.array_equal(out[:-2, 3:], values[2:, :-3])
    assert (out[:, :3] == -9.0).all()
    assert (out[-2:] == -9.0).all()


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_a_linear_image_stays_the_same_function_of_world_position(degrees: float) -> None:
    target = turned(inner(ANISOTROPIC), degrees)
    out = to_grid(np.stack([plane(ANISOTROPIC)] * 2), ANISOTROPIC, target, fill=np.nan)
    inside = np.isfinite(out[0])
    assert inside.mean() > 0.8
    np.testing.assert_allclose(out[0][inside], plane(target)[inside], atol=2e-3)
    np.testing.assert_array_equal(out[0], out[1])


def test_the_fast_path_and_the_general_path_agree() -> None:
    values = np.random.default_rng(0).normal(size=(2, *ANISOTROPIC.shape)).astype(np.float32)
    target = inner(ANISOTROPIC.to_ras(), 1.3)
    nearly = turned(target, 0.02)  # enough to leave the fast path, a hundredth of a voxel off
    for mode, allowed in [("linear", 0.0), ("nearest", 0.05)]:
        fast = to_grid(values, ANISOTROPIC, target, mode=mode, fill=5.0)
        general = to_grid(values, ANISOTROPIC, nearly, mode=mode, fill=5.0)
        assert (np.abs(fast - general) > 0.1).mean() <= allowed


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_nearest_invents_no_label_and_keeps_the_type(degrees: float) -> None:
    labels = np.random.default_rng(0).choice([0, 3, 117], size=ANISOTROPIC.shape).astype(np.uint8)
    out = to_grid(labels, ANISOTROPIC, turned(inner(ANISOTROPIC), degrees), mode="nearest")
    assert out.dtype == np.uint8
    assert set(np.unique(out)) == {0, 3, 117}


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_a_labelled_ball_keeps_its_place_in_mm(degrees: float) -> None:
    centre = corners_mm(ANISOTROPIC).mean(axis=0) + np.array([3.0, -2.0, 4.0])
    target = turned(inner(ANISOTROPIC), degrees)

    def ball(grid: Grid) -> np.ndarray:
        voxels = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
        return np.linalg.norm(voxel_to_world(voxels, grid.affine) - centre, axis=-1) < 5.0

    moved, truth = to_grid(ball(ANISOTROPIC), ANISOTROPIC, target, mode="nearest"), ball(target)
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.85


def test_disjoint_grids_give_only_fill() -> None:
    far = Grid(ANISOTROPIC.shape, ANISOTROPIC.affine + np.eye(4)[:, [3, 0, 1, 2]] * 0)
    far.affine[:3, 3] += 1e4
    for target in (far, turned(far, 30.0)):
        for mode in ("linear", "nearest"):
            out = to_grid(plane(ANISOTROPIC), ANISOTROPIC, target, mode=mode, fill=-3.0)
            assert (out == -3.0).all()


def test_a_grid_of_one_slice_can_be_read_and_written() -> None:
    slab = grid_of([(1, 0, 0), (0, 1, 0), (0, 0, 5)], (0, 0, 0), (6, 5, 1))
    thin = grid_of([(1, 0, 0), (0, 1, 0), (0, 0, 1)], (0, 0, -2), (6, 5, 5))
    values = np.random.default_rng(0).normal(size=slab.shape).astype(np.float32)
    assert np.array_equal(to_grid(values, slab, thin), np.repeat(values, 5, axis=2))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="cubic"):
        to_grid(plane(ANISOTROPIC), ANISOTROPIC, ANISOTROPIC, mode="cubic")
    with pytest.raises(ValueError, match="last axes"):
        to_grid(np.zeros((2, 2, 2)), ANISOTROPIC, ANISOTROPIC)


def case_of(grid: Grid) -> Case:
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[4:16, 6:24, 3:10] = 7
    return Case(name="c", image=plane(grid), affine=grid.affine, labels=labels, native=ANISOTROPIC)


def test_a_resampled_case_keeps_positions_volumes_and_its_native_grid() -> None:
    grid = grid_of([(1.1, 0, 0), (0, 0.8, 0), (0, 0, 2.5)], (-10, 5, 100), (21, 30, 13))
    case = case_of(grid)
    new = resample_case(case, (1.5, 1.5, 1.5))
    assert new.spacing_mm == (1.5, 1.5, 1.5)
    assert new.native is ANISOTROPIC
    middle = (slice(2, -2),) * 3
    np.testing.assert_allclose(new.image[middle], plane(new.grid)[middle], atol=0.15)
    old_ml, new_ml = ((c.labels == 7).sum() * c.grid.voxel_ml for c in (case, new))
    assert new_ml == pytest.approx(old_ml, rel=0.12)


def test_a_case_at_its_own_spacing_comes_back_untouched() -> None:
    case = case_of(grid_of([(1.1, 0, 0), (0, 0.8, 0), (0, 0, 2.5)], (0, 0, 0), (21, 30, 13)))
    assert resample_case(case, case.spacing_mm) is case


def test_labels_survive_the_round_trip_to_finer_voxels_and_back() -> None:
    case = case_of(grid_of([(1.1, 0, 0), (0, 0.8, 0), (0, 0, 2.5)], (0, 0, 0), (21, 30, 13)))
    fine = resample_case(case, (0.5, 0.5, 0.5))
    back = to_grid(fine.labels, fine.grid, case.grid, mode="nearest", fill=99)
    assert np.array_equal(back, case.labels)


def test_no_voxel_of_a_coarser_grid_and_back_is_filled() -> None:
    case = case_of(grid_of([(0.98, 0, 0), (0, 0.98, 0), (0, 0, 2.0)], (0, 0, 0), (31, 37, 20)))
    coarse = resample_case(case, (3.0, 3.0, 3.0))
    back = to_grid(coarse.image, coarse.grid, case.grid, fill=np.nan)
    assert np.isfinite(back).all()


def test_a_coarser_image_is_averaged_not_sampled() -> None:
    grid = grid_of([(1, 0, 0), (0, 1, 0), (0, 0, 2)], (0, 0, 0), (60, 60, 10))
    noise = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    case = Case(name="noise", image=noise, affine=grid.affine)
    averaged = resample_case(case, (3.0, 3.0, 3.0)).image.std()
    sampled = resample_case(case, (3.0, 3.0, 3.0), antialias=False).image.std()
    assert averaged < 0.5 * sampled
