"""Volumes into a cube and back: lengths in millimetres, centres, and nothing lost."""

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng
from fmtutor.data.cubes import CubeFrame


def ball(shape, spacing_mm, radius_mm=9.0):
    """A ball in the middle of the volume."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    h, w, d = np.meshgrid(*axes, indexing="ij")
    return h**2 + w**2 + d**2 < radius_mm**2


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [((40, 30, 20), (1.0, 1.0, 1.0)), ((20, 30, 12), (2.0, 1.0, 3.0)), ((8, 8, 8), (4.0,) * 3)],
)
def test_a_ball_stays_a_ball_of_its_size_in_the_middle(shape, spacing_mm):
    frame = CubeFrame(shape=shape, spacing_mm=spacing_mm, size=32)
    mask = frame.mask(ball(shape, spacing_mm)[None])[0, 0].numpy() > 0
    extent = max(n * mm for n, mm in zip(shape, spacing_mm, strict=True))
    radius = 9.0 / extent * 32
    assert max(frame.inner) == 32
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.12)
    at = np.argwhere(mask)
    np.testing.assert_allclose(at.std(axis=0), radius / np.sqrt(5), rtol=0.12)
    np.testing.assert_allclose(at.mean(axis=0), 15.5, atol=0.51)


def test_what_is_brought_in_comes_back_at_its_place():
    shape, spacing_mm = (20, 30, 12), (2.0, 1.0, 3.0)
    frame = CubeFrame(shape=shape, spacing_mm=spacing_mm, size=32)
    truth = np.zeros(shape, bool)
    truth[2:9, 4:16, 6:11] = True
    back = frame.back(frame.mask(truth[None]))[0].numpy() > 0.5
    assert back.shape == shape
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.9


def test_around_the_volume_there_is_air_and_inside_the_mean_is_kept():
    noise = rng("cube").random((2, 24, 12, 48)).astype(np.float32)
    frame = CubeFrame(shape=(24, 12, 48), size=16)
    image = frame.image(noise)
    assert image.shape == (2, 1, 16, 16, 16)
    assert frame.inner == (8, 4, 16)
    assert frame.corner == (4, 6, 0)
    inside = image[:, 0, 4:12, 6:10, :]
    assert float(image.sum()) == pytest.approx(float(inside.sum()))
    torch.testing.assert_close(inside.mean(), torch.tensor(noise.mean()), atol=0.01, rtol=0)
    assert inside.std() < 0.5 * noise.std(), "fine detail is averaged, not sampled"


def test_a_volume_of_the_cubes_own_size_is_left_as_it_is():
    volume = torch.rand(1, 8, 8, 8)
    frame = CubeFrame(shape=(8, 8, 8), size=8)
    assert torch.equal(frame.image(volume)[:, 0], volume)
    assert torch.equal(frame.back(volume[:, None]), volume)
