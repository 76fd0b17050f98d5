"""Patches of a support: where they lie, how they vary, and that they are what they were."""

import numpy as np
import pytest
import torch

from fmtutor.data.cases import Case
from fmtutor.data.few_shot import FixedPatches, Patches, Volume, prepare
from fmtutor.data.regions import Region

SIZE = (16, 16, 16)


def volume(number: int = 0) -> Volume:
    """A bright block off the middle of a grey volume, another place in each."""
    image = np.full((40, 30, 24), 0.4, np.float32)
    target = np.zeros(image.shape, bool)
    target[4 + number : 12 + number, 6:14, 4:12] = True
    image[target] = 0.9
    return Volume(name=f"v{number}", image=image, target=target, voxel_ml=0.125)


def support(count: int = 3) -> list[Volume]:
    return [volume(n) for n in range(count)]


def test_a_step_is_one_volume_and_an_epoch_shows_each_once() -> None:
    patches = Patches(support(), size=SIZE, batch=2, seed=0)
    orders = []
    for epoch in range(6):
        drawn = [patches(epoch * 3 + place) for place in range(3)]
        orders.append(tuple(round(float(b.target.float().sum()), 1) for b in drawn))
    assert len(set(orders)) > 1
    assert patches(0).input.shape == (2, 1, *SIZE)


def test_half_of_the_patches_are_centred_in_the_structure() -> None:
    """Places take turns: those of an even number in one epoch, the others in the next."""
    patches = Patches(support(), size=(4, 4, 4), batch=6, seed=0)
    for step in range(12):
        centres = patches(step).target[:, 0, 2, 2, 2]
        epoch = step // 3
        assert centres[epoch % 2 :: 2].all()
        assert not centres[1 - epoch % 2 :: 2].any()


def test_a_batch_of_one_alternates_between_epochs() -> None:
    patches = Patches(support(1), size=(4, 4, 4), batch=1, seed=0)
    assert [bool(patches(step).target[0, 0, 2, 2, 2]) for step in range(4)] == [True, False] * 2


def test_the_same_step_is_the_same_batch_and_another_seed_another() -> None:
    one, same, other = (Patches(support(), size=SIZE, batch=2, seed=s)(5) for s in (0, 0, 1))
    assert torch.equal(one.input, same.input)
    assert not torch.equal(one.input, other.input)


def test_intensities_are_shifted_in_a_fifth_of_the_patches() -> None:
    patches = Patches([volume()], size=(4, 4, 4), batch=2, seed=0)
    shifted = []
    for step in range(150):
        batch = patches(step)
        grey = batch.input[~batch.target]
        if len(grey):
            shifted.append(abs(float(grey.median()) - 0.4) > 1e-6)
    assert 0.1 < np.mean(shifted) < 0.3


def test_fixed_patches_are_shown_over_and_over() -> None:
    patches = FixedPatches(support(2), size=SIZE, batch=2, seed=0, per_volume=4)
    numbers = [number for step in range(4) for number in patches.numbers(step)]
    assert sorted(numbers) == list(range(8)) == sorted(range(len(patches)))
    shown = patches(0)
    for place, number in enumerate(patches.numbers(0)):
        assert torch.equal(shown.input[place], patches[number][0])
        assert torch.equal(shown.target[place], patches[number][1])
    assert patches.numbers(0) == patches.numbers(4) or patches.numbers(0) == patches.numbers(5)


def test_malformed_supports_are_refused() -> None:
    empty = volume()
    empty.target[:] = False
    with pytest.raises(ValueError, match="at least one volume"):
        Patches([], size=SIZE, batch=2, seed=0)
    with pytest.raises(ValueError, match=r"\['v0'\] do not"):
        Patches([empty], size=SIZE, batch=2, seed=0)
    with pytest.raises(ValueError, match="multiple of the batch"):
        FixedPatches(support(), size=SIZE, batch=2, seed=0, per_volume=3)


def case_of(labels: np.ndarray) -> Case:
    image = np.where(labels > 0, 100.0, -50.0).astype(np.float32)
    image[:6] = -1000.0  # air, to be cropped away
    affine = np.diag((3.0, 3.0, 3.0, 1.0))
    return Case(name="c", image=image, affine=affine, labels=labels, table={1: "spleen"})


def test_a_case_is_resampled_scaled_cropped_and_padded() -> None:
    labels = np.zeros((40, 32, 20), np.uint8)
    labels[20:30, 10:20, 5:15] = 1
    made = prepare(case_of(labels), Region.of("spleen"), spacing_mm=(6.0,) * 3, patch=(16, 16, 16))
    assert made.image.shape == (17, 16, 16)
    assert made.image.min() >= 0
    assert made.image.max() <= 1
    assert made.voxel_ml == pytest.approx(0.216)
    assert made.target.sum() * 0.216 == pytest.approx(labels.sum() * 0.027, rel=0.2)


def test_the_reference_is_the_largest_part_joined_over_corners() -> None:
    found = volume()
    found.target[30, 20, 20] = True
    found.target[12, 14, 12] = True  # touches the block at a corner alone
    assert found.reference.sum() == 8**3 + 1
    assert not found.reference[30, 20, 20]


def test_a_case_without_labels_is_refused() -> None:
    case = Case(name="c", image=np.zeros((8, 8, 8), np.float32), affine=np.eye(4))
    with pytest.raises(ValueError, match="without; add them"):
        prepare(case, Region.of("spleen"), spacing_mm=(1.0,) * 3, patch=(8, 8, 8))
