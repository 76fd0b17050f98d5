"""Maps on an anisotropic phantom block; those of the cohort's recipes are in test_cohort."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from fmtutor.data.deformation import (
    Deformer,
    Warp,
    blur,
    jacobian_determinant,
    sample_at,
    voxel_grid,
)

SHAPE = (60, 51, 66)
ORGAN = np.s_[18:42, 15:36, 20:46]
ORGAN_CENTRE = torch.tensor([29.5, 25.0, 32.5])
STILL = {"organ": (0.0, 0.0, 0.0, 0.0)}


@pytest.fixture(scope="module")
def deformer():
    labels = np.zeros(SHAPE, np.uint8)
    labels[ORGAN] = 1
    body = np.zeros(SHAPE, bool)
    body[5:55, 5:46] = True
    return Deformer(labels, body, organs={"organ": (1,)}, spacing_mm=3.0)


def warped(deformer, **numbers):
    points = deformer.source_of(Warp(**({"organs": STILL} | numbers)), voxel_grid(SHAPE))
    labels = torch.zeros(1, *SHAPE)
    labels[0][ORGAN] = 1
    return points, sample_at(labels, points, nearest=True)[0]


def test_a_warp_of_zeros_changes_nothing(deformer):
    points, _ = warped(deformer)
    assert points == pytest.approx(voxel_grid(SHAPE), abs=1e-4)


def test_body_size_scales_each_axis_by_its_own_factor(deformer):
    _, organ = warped(deformer, scale=(0.5, 1.5, 0.75))
    sides = [len(torch.nonzero(organ.sum(other)).unique()) for other in ((1, 2), (0, 2), (0, 1))]
    assert sides == pytest.approx([12, 31.5, 19.5], abs=1)


def test_an_organ_moves_by_its_push_in_the_middle_and_by_less_at_its_border(deformer):
    points, organ = warped(deformer, organs={"organ": (0.0, 6.0, 0.0, -9.0)})
    middle = (slice(None), 30, 25, 33)
    shift = (voxel_grid(SHAPE) - points)[middle]
    assert shift.tolist() == pytest.approx([2.0, 0.0, -3.0], abs=0.3)
    right, front, up = (organ.nonzero().float().mean(0) - ORGAN_CENTRE).tolist()
    assert 0.5 < right < 2.0
    assert abs(front) < 0.2
    assert -3.0 < up < -0.75


def test_an_organ_swells_and_shrinks_with_its_log_size(deformer):
    sizes = [
        float(warped(deformer, organs={"organ": (log, 0.0, 0.0, 0.0)})[1].sum())
        for log in (-0.3, 0.0, 0.3)
    ]
    assert sizes[0] < 0.75 * sizes[1]
    assert sizes[2] > 1.3 * sizes[1]


def test_more_fat_moves_the_skin_outwards_and_leaves_the_middle(deformer):
    points, _ = warped(deformer, fat_mm=6.0)
    row = points[0, :, 25, 33]
    assert row[54] < 53.2
    assert row[5] > 5.8
    assert row[29:31].tolist() == pytest.approx([29.0, 30.0], abs=0.05)


def test_the_noise_belongs_to_its_seed(deformer):
    one, two, other = (warped(deformer, fine_mm=6.0, noise_seed=n)[0] for n in (1, 1, 2))
    assert torch.equal(one, two)
    assert (one - other).abs().max() > 1


def test_the_map_of_the_negated_velocity_is_nearly_the_inverse(deformer):
    there = Warp(organs={"organ": (0.2, 6.0, -6.0, 6.0)})
    back = Warp(organs={"organ": (-0.2, -6.0, 6.0, -6.0)})
    points = deformer.source_of(there, voxel_grid(SHAPE))
    home = deformer.source_of(back, points)
    assert (points - voxel_grid(SHAPE)).norm(dim=0).max() > 2.5
    assert (home - voxel_grid(SHAPE)).norm(dim=0).max() < 0.25


def test_a_determinant_tells_growth_rest_and_folding_apart():
    grid = voxel_grid((6, 5, 4))
    stretched = grid * torch.tensor([2.0, 1.0, 0.5]).view(3, 1, 1, 1)
    assert jacobian_determinant(stretched) == pytest.approx(torch.ones(6, 5, 4))
    assert jacobian_determinant(grid * 2).unique().tolist() == [8.0]
    assert jacobian_determinant(grid.flip(1)).max() < 0


def test_blurring_keeps_a_constant_and_the_mean_and_zero_changes_nothing():
    volume = torch.rand(1, 9, 10, 11)
    assert blur(volume, 0.0) is volume
    assert blur(torch.full((1, 9, 10, 11), 7.0), 2.0) == pytest.approx(
        torch.full((1, 9, 10, 11), 7.0), abs=1e-4
    )
    spread = [float(blur(volume, sigma).std()) for sigma in (0.0, 0.7, 1.5)]
    assert all(low < high for high, low in pairwise(spread))


def test_sampling_reads_linearly_by_the_nearest_and_zero_outside():
    volume = torch.arange(24.0).view(1, 2, 3, 4)
    point = torch.tensor([0.5, 1.0, 2.25]).view(3, 1, 1, 1)
    assert float(sample_at(volume, point)) == pytest.approx(12.25)
    assert float(sample_at(volume, point + 0.2, nearest=True)) == 18.0
    outside = torch.tensor([9.0, 9.0, 9.0]).view(3, 1, 1, 1)
    assert float(sample_at(volume, outside)) == 23.0
    assert float(sample_at(volume, outside, border=False)) == 0.0
