"""Resected organs and lesions, image and label together."""

import numpy as np
import pytest
import torch

from fmtutor.data.findings import FAT_HU, insert_lesions, lesion_shape, resect


@pytest.fixture
def liver() -> tuple[torch.Tensor, torch.Tensor]:
    """A ball of liver (label 5) in fat."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(28.0)] * 3, indexing="ij"))
    ball = (grid - 14).norm(dim=0) < 11
    return torch.where(ball, 60.0, -100.0), ball.to(torch.uint8) * 5


def test_a_resected_organ_leaves_fat_and_no_label(liver):
    image, labels = resect(*liver, 5, np.random.default_rng(0))
    assert not labels.any()
    assert image[14, 14, 14].item() == pytest.approx(FAT_HU, abs=50)


def test_a_lesion_never_leaves_its_organ(liver):
    organ = liver[1] == 5
    for seed in range(8):
        blob = lesion_shape(organ, radius_vox=6.0, rng=np.random.default_rng(seed))
        assert blob.any()
        assert not (blob & ~organ).any()


def test_lesions_are_labelled_where_the_image_changed(liver):
    image, labels = insert_lesions(
        *liver, organ=5, lesion=201, spacing_mm=3.0, rng=np.random.default_rng(2)
    )
    lesion = labels == 201
    assert lesion.any()
    assert ((labels == 5) | lesion).sum() == (liver[1] == 5).sum()
    assert (image - liver[0])[lesion].abs().mean() > 5.0


def test_an_absent_organ_gets_no_lesion(liver):
    image, labels = insert_lesions(
        *liver, organ=9, lesion=201, spacing_mm=3.0, rng=np.random.default_rng(2)
    )
    assert torch.equal(image, liver[0])
    assert torch.equal(labels, liver[1])
