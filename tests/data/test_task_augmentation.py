from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.seeds import rng
from fmtutor.data.task_augmentation import (
    InTaskAugmentation,
    TaskAugmentation,
    augment_in_task,
    augment_task,
    probabilities_of,
)
from fmtutor.data.task_geometry import Motion

FAMILIES = [(augment_in_task, InTaskAugmentation), (augment_task, TaskAugmentation)]
ALONE = [
    (augment, config, name)
    for augment, config in FAMILIES
    for name in [*probabilities_of(config), "affine", "elastic"]
]
LABEL_CHANGES = [name for name in probabilities_of(TaskAugmentation) if name.startswith("label_")]


def pairs(n=4, size=(32, 32), seed=0):
    """Noisy images, all with the same off-centre box in them."""
    images = torch.from_numpy(rng("pairs", seed).uniform(0, 0.3, (n, 1, *size)).astype("float32"))
    masks = torch.zeros(n, 1, *size)
    masks[:, :, 8:20, 10:18] = 1
    return (images + 0.6 * masks).clamp(0, 1), masks


def same_pair(n=4):
    images, masks = pairs(1)
    return images.repeat(n, 1, 1, 1), masks.repeat(n, 1, 1, 1)


def alone(config, name):
    """A configuration with this probability 1 and every other 0."""
    if name in ("affine", "elastic"):
        motion = Motion(
            affine=float(name == "affine"),
            elastic=float(name == "elastic"),
            elastic_shift=(0.06, 0.08),  # two pixels of 32, so that it shows in the mask
        )
        return replace(config.off(), motion=motion)
    return replace(config.off(), **{name: 1.0})


@pytest.mark.parametrize(("augment", "config"), FAMILIES)
def test_the_same_generator_gives_the_same_pairs_and_another_gives_others(augment, config):
    first, again, other = (augment(*pairs(), rng("draw", k), config()) for k in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize(("augment", "config"), FAMILIES)
def test_masks_stay_binary_and_images_in_range_on_an_oblong(augment, config):
    images, masks = pairs(size=(32, 24))
    for draw in range(25):
        moved, cut = augment(images, masks, rng("range", draw), config())
        assert moved.shape == cut.shape == images.shape
        assert moved.dtype == cut.dtype == torch.float32
        assert 0 <= moved.min() <= moved.max() <= 1
        assert ((cut == 0) | (cut == 1)).all()


@pytest.mark.parametrize(("augment", "config"), FAMILIES)
def test_with_every_probability_0_nothing_changes_at_all(augment, config):
    images, masks = pairs()
    same = augment(images, masks, rng(0), config.off())
    assert torch.equal(same[0], images)
    assert torch.equal(same[1], masks)


@pytest.mark.parametrize(("augment", "config"), FAMILIES)
def test_the_arguments_are_left_as_they_are(augment, config):
    images, masks = pairs()
    copies = images.clone(), masks.clone()
    for draw in range(20):
        augment(images, masks, rng("copy", draw), config())
    assert torch.equal(images, copies[0])
    assert torch.equal(masks, copies[1])


@pytest.mark.parametrize(("augment", "config", "name"), ALONE)
def test_every_change_is_reached_by_its_probability(augment, config, name):
    images, masks = pairs()
    moved, cut = augment(images, masks, rng(0), alone(config, name))
    assert torch.equal(cut, masks) == (not name.startswith("label_") and not _moves(name))
    assert torch.equal(moved, images) == name.startswith("label_")


@pytest.mark.parametrize(("augment", "config", "name"), ALONE)
def test_identical_pairs_stay_identical_in_a_new_task_and_differ_within_one(augment, config, name):
    moved, cut = augment(*same_pair(), rng(0), alone(config, name))
    equal = [torch.equal(moved[0], moved[k]) and torch.equal(cut[0], cut[k]) for k in (1, 2, 3)]
    assert equal == [augment is augment_task] * 3


@pytest.mark.parametrize(
    ("augment", "config", "name"), [case for case in ALONE if case[2] in ("affine", "elastic")]
)
def test_image_and_mask_move_together(augment, config, name):
    _, masks = pairs()
    moved, cut = augment(masks, masks, rng(0), alone(config, name))
    assert torch.equal((moved > 0.5).float(), cut)


def test_mirroring_only_exchanges_pixels_of_image_and_mask_alike():
    images, masks = pairs()
    moved, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "flip"))
    assert torch.equal(moved, images.flip((-2, -1)))
    assert torch.equal(cut, masks.flip((-2, -1)))
    moved, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "transpose"))
    assert torch.equal(moved, images.transpose(2, 3))
    assert torch.equal(cut, masks.transpose(2, 3))


def test_an_oblong_image_is_not_transposed():
    images, masks = pairs(size=(32, 24))
    moved, _ = augment_task(images, masks, rng(0), alone(TaskAugmentation, "transpose"))
    assert torch.equal(moved, images)


def test_inversions_turn_the_image_and_the_mask():
    images, masks = pairs()
    moved, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "image_inversion"))
    assert torch.equal(moved, 1 - images)
    assert torch.equal(cut, masks)
    _, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "label_inversion"))
    assert torch.equal(cut, 1 - masks)


def test_label_changes_of_radius_1_are_what_they_say_on_a_box():
    images, masks = pairs()
    changed = {}
    for name in LABEL_CHANGES:
        config = replace(alone(TaskAugmentation, name), label_radius=(1, 1))
        changed[name] = augment_task(images, masks, rng(0), config)[1]
    grown, shrunken = torch.zeros_like(masks), torch.zeros_like(masks)
    grown[:, :, 7:21, 9:19] = 1
    shrunken[:, :, 9:19, 11:17] = 1
    assert torch.equal(changed["label_dilation"], grown)
    assert torch.equal(changed["label_erosion"], shrunken)
    assert torch.equal(changed["label_gradient"], grown - shrunken)
    edge = changed["label_edge"].bool()
    assert (edge & (shrunken == 1)).sum() == 0
    assert (edge & (grown == 0)).sum() == 0
    assert edge[:, :, 8, 12].all()


def test_a_change_that_leaves_too_little_of_any_mask_is_skipped_for_all():
    images, masks = pairs()
    masks[2] = 0
    masks[2, :, 5:8, 5:9] = 1  # 12 pixels, of which erosion would leave 2
    _, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "label_erosion"))
    assert torch.equal(cut, masks)


def test_an_empty_mask_among_others_does_not_hinder_a_change():
    images, masks = pairs()
    masks[2] = 0
    _, cut = augment_task(images, masks, rng(0), alone(TaskAugmentation, "label_erosion"))
    assert cut[2].sum() == 0
    assert 0 < cut[0].sum() < masks[0].sum()


def test_a_map_that_moves_a_structure_out_of_view_is_not_applied_to_its_pair():
    images, masks = pairs(n=40)
    masks[:] = 0
    masks[:20, :, 0:4, 0:4] = 1
    masks[20:, :, 10:22, 10:22] = 1
    far = Motion(affine=1.0, elastic=0.0, shift=0.3)
    moved, cut = augment_in_task(
        images, masks, rng(0), replace(InTaskAugmentation.off(), motion=far)
    )
    still = [torch.equal(a, b) for a, b in zip(moved, images, strict=True)]
    assert 0 < sum(still[:20]) < 20
    assert sum(still[20:]) == 0
    assert (cut.sum((1, 2, 3)) >= 10).all()


@pytest.mark.parametrize("config", [InTaskAugmentation, TaskAugmentation])
def test_a_configuration_survives_json_and_refuses_what_is_no_probability(config):
    assert from_dict(config, to_dict(config())) == config()
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got \{'blur': 1.5\}"):
        config(blur=1.5)


def test_global_generators_are_neither_read_nor_moved():
    results, states = [], []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
        out = augment_task(*pairs(), rng(3), replace(TaskAugmentation(), noise=1.0, blur=1.0))
        results.append(augment_in_task(*out, rng(4), InTaskAugmentation())[0])
        states.append(torch.equal(before[0], torch.random.get_rng_state()))
        states.append((before[1] == np.random.get_state()[1]).all())
    assert torch.equal(*results)
    assert all(states)


@pytest.mark.gpu
@pytest.mark.parametrize(("augment", "config"), FAMILIES)
def test_a_gpu_gives_the_pairs_of_the_cpu(augment, config):
    images, masks = pairs()
    for draw in range(10):
        here = augment(images, masks, rng("gpu", draw), config())
        there = augment(images.cuda(), masks.cuda(), rng("gpu", draw), config())
        torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-4, rtol=0)
        assert (there[1].cpu() != here[1]).float().mean() < 0.005
        assert there[0].is_cuda
        assert there[1].is_cuda


def _moves(name):
    return name in ("flip", "transpose", "affine", "elastic")
