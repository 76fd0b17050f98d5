from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng
from fmtutor.data.task_geometry import (
    Motion,
    affine_maps,
    elastic_shifts,
    loses_structure,
    move,
    smooth_noise,
)

STIFF = Motion(
    affine=1.0, rotation_deg=0.0, scale=(1.0, 1.0), shear_deg=0.0, shift=0.0, elastic=0.0
)


def blob(size=(40, 40), centre=(16, 20), radius=6):
    """One image whose bright disc is its mask."""
    h, w = np.mgrid[: size[0], : size[1]]
    disc = (h - centre[0]) ** 2 + (w - centre[1]) ** 2 <= radius**2
    mask = torch.from_numpy(disc.astype("float32"))[None, None]
    return mask.clone(), mask


def test_a_scale_of_2_shows_the_structure_at_four_times_its_area():
    image, mask = blob(radius=5)
    _, cut = move(
        image, mask, rng(0), replace(STIFF, scale=(2.0, 2.0)), together=True, least_pixels=0
    )
    assert abs(float(cut.sum() / mask.sum()) - 4) < 0.4


def test_a_turn_of_an_oblong_image_keeps_lengths():
    image, mask = blob(size=(32, 64), centre=(16, 36))
    turning = replace(STIFF, rotation_deg=60.0)
    cosines = []
    for draw in range(6):
        cosines.append(float(affine_maps(rng(draw), turning, 1, (32, 64))[0][0, 0, 0]))
        _, cut = move(image, mask, rng(draw), turning, together=True, least_pixels=0)
        h, w = np.nonzero(cut[0, 0].numpy())
        assert abs(np.ptp(h) - np.ptp(w)) <= 2
        assert abs(float(cut.sum() / mask.sum()) - 1) < 0.1
    assert min(cosines) < 0.8


def test_only_chosen_pairs_have_a_map():
    maps, chosen = affine_maps(rng(0), Motion(affine=0.5), 50, (32, 32))
    identity = (maps == torch.eye(2, 3)).all((1, 2)).numpy()
    assert (identity == ~chosen).all()
    assert 5 < chosen.sum() < 45
    shifts, bent = elastic_shifts(rng(0), Motion(elastic=0.5), 50, (32, 32))
    assert ((shifts != 0).any(-1).any(-1).any(-1).numpy() == bent).all()
    assert 5 < bent.sum() < 45


def test_default_elastic_maps_rarely_fold():
    shifts, _ = elastic_shifts(rng(0), Motion(elastic=1.0), 60, (64, 64))
    pixels = shifts * 32
    (dxh, dxw), (dyh, dyw) = (torch.gradient(pixels[..., k], dim=(1, 2)) for k in (0, 1))
    volume = (1 + dxw) * (1 + dyh) - dxh * dyw
    assert (volume <= 0).float().mean() < 1e-3


@pytest.mark.parametrize("grid", [(24,), (16, 24), (8, 12, 16)])
def test_smooth_noise_has_its_shape_and_is_smooth(grid):
    noise = smooth_noise(rng(0), (20, 2), grid, points=4)
    assert noise.shape == (20, 2, *grid)
    assert 0.3 < float(noise.std()) < 1.2
    assert float(noise.diff(dim=-1).std()) < 0.6 * float(noise.std())


def test_a_structure_is_lost_below_the_least_pixels_or_when_a_small_one_shrinks():
    def masks(*counts):
        out = torch.zeros(len(counts), 1, 8, 8)
        for row, count in enumerate(counts):
            out[row].view(-1)[:count] = 1
        return out

    lost = loses_structure(masks(30, 30, 5, 5, 0), masks(10, 9, 5, 4, 0), 10)
    assert lost.tolist() == [False, True, False, True, False]


def test_a_scale_of_0_is_refused():
    with pytest.raises(ValueError, match="a scale must be above 0"):
        Motion(scale=(0.0, 1.0))
