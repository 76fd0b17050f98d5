"""What the scanner and the room add."""

import numpy as np
import pytest
import torch

from fmtutor.data.acquisition import add_arms, add_noise, add_table, apply_kernel, thicken_slices


@pytest.fixture
def body() -> torch.Tensor:
    """An elliptic body of soft tissue in a wide field of air, 3 mm voxels."""
    h, w, _ = torch.meshgrid(
        torch.arange(150.0), torch.arange(90.0), torch.arange(6.0), indexing="ij"
    )
    inside = ((h - 75) / 35) ** 2 + ((w - 50) / 25) ** 2 < 1
    return torch.where(inside, 40.0, -1000.0)


def test_arms_lie_beside_the_body_and_never_inside_it(body):
    out = add_arms(body, spacing_mm=3.0, rng=np.random.default_rng(0))
    changed = out != body
    assert changed[:40].any()
    assert changed[110:].any()
    assert not changed[body > -300].any()
    assert (out[changed] > 500).any(), "an arm has a bone"


def test_a_couch_lies_behind_the_body_and_never_inside_it(body):
    out = add_table(body, spacing_mm=3.0, rng=np.random.default_rng(1))
    changed = out != body
    assert changed.any()
    assert not changed[body > -300].any()
    assert not changed[:, 60:].any(), "nothing in front of the patient"


def test_thick_slices_average_along_d_and_keep_a_constant():
    volume = torch.zeros(4, 4, 9)
    volume[..., 4] = 90.0
    thick = thicken_slices(volume, spacing_mm=3.0, slice_mm=9.0)
    assert torch.allclose(thick[0, 0, 3:6], torch.full((3,), 30.0))
    flat = torch.full((3, 3, 5), 7.0)
    assert torch.allclose(thicken_slices(flat, spacing_mm=3.0, slice_mm=5.0), flat)


def test_thin_slices_change_nothing():
    volume = torch.rand(3, 4, 5)
    assert thicken_slices(volume, spacing_mm=3.0, slice_mm=3.0) is volume


def test_a_soft_kernel_lowers_and_a_sharp_one_raises_the_contrast_of_an_edge():
    edge = torch.zeros(9, 9, 9)
    edge[4:] = 100.0
    soft, sharp = apply_kernel(edge, 0.8), apply_kernel(edge, -0.6)
    assert soft.diff(dim=0).max() < 100.0 < sharp.diff(dim=0).max()


@pytest.mark.parametrize("sd_hu", [5.0, 30.0])
def test_noise_has_the_asked_deviation_and_no_bias(sd_hu):
    noise = add_noise(torch.zeros(30, 30, 30), sd_hu, np.random.default_rng(0))
    assert noise.std().item() == pytest.approx(sd_hu, rel=1e-3)
    assert abs(noise.mean().item()) < 0.1 * sd_hu
