"""Contrast phases, tones, and intensities drawn anew."""

import numpy as np
import pytest
import torch

from fmtutor.data.appearance import (
    add_texture,
    add_tones,
    enhancements,
    organ_tones,
    redraw,
    tissue_key,
)

TABLE = {1: "aorta", 2: "kidney_left", 3: "kidney_right", 4: "gallbladder"}


def tones(phase: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return organ_tones(TABLE, phase=phase, jitter=0.0, organ_hu=0.0, rng=rng)


@pytest.mark.parametrize(
    ("structure", "key"),
    [("kidney_left", "kidney"), ("liver_lesion", "liver_lesion"), ("vertebrae_L1", "vertebrae"),
     ("iliac_vena_left", "iliac_vena"), ("femur_left", "other")],
)  # fmt: skip
def test_a_structure_follows_the_longest_row_that_begins_its_name(structure, key):
    assert tissue_key(structure) == key


def test_the_aorta_is_brightest_in_the_arterial_phase():
    rows = enhancements()
    assert rows["arterial"]["aorta"] > rows["portal"]["aorta"] > rows["delayed"]["aorta"]


def test_without_contrast_and_jitter_nothing_is_gained():
    assert not tones("none").any()


def test_left_and_right_share_their_enhancement():
    drawn = organ_tones(
        TABLE, phase="portal", jitter=0.5, organ_hu=0.0, rng=np.random.default_rng(3)
    )
    assert drawn[2] == drawn[3] > 0


def test_an_unknown_phase_lists_the_known_ones():
    with pytest.raises(ValueError, match="arterial"):
        tones("venous")


def test_tones_reach_the_organ_and_spare_air_and_other_organs():
    image = torch.full((12, 12, 12), 40.0)
    image[:3] = -1000.0
    labels = torch.zeros(12, 12, 12, dtype=torch.uint8)
    labels[5:11, 2:10, 2:10] = 1
    gains = np.zeros(256, dtype=np.float32)
    gains[1] = 100.0
    out = add_tones(image, labels, gains)
    assert out[8, 6, 6].item() == pytest.approx(140.0, abs=1.0)
    assert torch.equal(out[:3], image[:3])


def test_texture_has_its_deviation_in_tissue_and_spares_air():
    image = torch.full((32, 32, 32), 50.0)
    image[:8] = -1000.0
    change = add_texture(image, 10.0, np.random.default_rng(0)) - image
    assert not change[:8].any()
    assert 4.0 < change[8:].std().item() < 16.0


def test_redrawing_moves_organs_and_keeps_air():
    image = torch.full((16, 16, 16), 40.0)
    image[:4] = -1000.0
    labels = torch.zeros(16, 16, 16, dtype=torch.uint8)
    labels[8:14, 4:12, 4:12] = 1
    fresh = [redraw(image, labels, np.random.default_rng(s))[11, 8, 8].item() for s in range(6)]
    assert np.std(fresh) > 20.0
    assert torch.equal(redraw(image, labels, np.random.default_rng(0))[:4], image[:4])
