"""Growing context: what joins the pool, what a case costs, and what a user changes."""

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.ask import Support
from fmtutor.core.seeds import rng
from fmtutor.engine import support_pool
from fmtutor.engine.growing_context import segment_dataset
from fmtutor.engine.support_selection import image_embedding
from tests.engine.example_network import LikeShown, disc

START = Support(*[(array,) for array in disc(16, 0.7)])


def dataset(count: int, size: int = 16, brightness: float = 0.7, dims: int = 2):
    """Noisy images of discs of one brightness, and their masks."""
    draw = rng("dataset", count, dims)
    pairs = [
        disc(size, brightness, radius=float(draw.uniform(3, 6)), dims=dims) for _ in range(count)
    ]
    images = [
        image + draw.uniform(-0.02, 0.02, image.shape).astype(np.float32) for image, _ in pairs
    ]
    return images, [mask for _, mask in pairs]


class NeedsManyExamples(nn.Module):
    """Finds the disc of its brightest example, the better the more examples it is shown."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, query, support_images, support_masks, *, chunk=8):
        overlap = (support_masks.mean(1) - 0.5) * 10
        return overlap * (query > 0.5) - 2 / support_images.shape[1]


def test_the_pool_grows_by_every_case_and_what_the_network_sees_is_bounded():
    images, masks = dataset(12)
    model = LikeShown()
    steps = segment_dataset(model, images, START, size=16, most=4, truth=masks)
    assert [step.index for step in steps] == list(range(12))
    assert [step.pool for step in steps] == list(range(1, 13))
    assert [step.support for step in steps] == model.sizes == [1, 2, 3, *[4] * 9]
    assert min(step.dice for step in steps) > 0.9
    assert all(step.seconds > 0 for step in steps)


def test_every_image_is_embedded_a_fixed_number_of_times(monkeypatch):
    embedded = []

    def counted(images):
        embedded.append(len(images))
        return image_embedding(images)

    monkeypatch.setattr(support_pool, "image_embedding", counted)
    images, _ = dataset(12)
    segment_dataset(LikeShown(), images, START, size=16, most=2)
    assert max(embedded) == 1, "never the whole pool"
    assert len(embedded) == 1 + 12 + 10, "the start, each finished case, each query that chooses"


def test_a_case_sees_its_nearest_finished_ones():
    left, right = disc(16, 0.7)[0], disc(16, 0.7)[0]
    left[:, :6], right[:, -6:] = 0.5, 0.5
    model = LikeShown()
    segment_dataset(model, [left, right, left, right], START, size=16, most=1)
    for query, images, _ in model.seen[2:]:
        assert torch.equal(images[0, 0], query[0])


def test_the_users_correction_is_what_joins_and_what_is_returned():
    images, masks = dataset(4)
    asked = []

    def correct(index, answer):
        asked.append((index, answer.dtype, answer.shape))
        return np.roll(masks[index], 1, axis=0).astype(np.uint8)

    model = LikeShown()
    steps = segment_dataset(model, images, START, size=16, correct=correct, truth=masks)
    assert asked == [(i, np.dtype(bool), (16, 16)) for i in range(4)]
    for step, mask in zip(steps, masks, strict=True):
        assert np.array_equal(step.mask, np.roll(mask, 1, axis=0))
        assert step.dice > 0.9, "the score is that of the answer, before its correction"
    joined = model.seen[-1][2][0, 1:, 0]
    assert np.array_equal(joined.numpy() > 0, np.stack([step.mask for step in steps[:3]]))


def test_with_corrections_answers_get_better_and_without_they_stay_as_they_were():
    image, mask = disc(16, 0.7)
    start = Support((image,), (np.roll(mask, 3, axis=1),))
    ask = {"size": 16, "truth": [mask] * 8}
    alone = segment_dataset(NeedsManyExamples(), [image] * 8, start, **ask)
    helped = segment_dataset(
        NeedsManyExamples(), [image] * 8, start, correct=lambda index, _: mask, **ask
    )
    assert alone[0].dice == helped[0].dice < 0.9
    assert alone[-1].dice == pytest.approx(alone[0].dice, abs=0.05)
    assert helped[-1].dice > 0.95


def test_an_empty_finished_mask_is_no_example():
    images, masks = dataset(5)
    steps = segment_dataset(
        LikeShown(),
        images,
        START,
        size=16,
        correct=lambda index, _: masks[index] & (index % 2 == 0),
    )
    assert [step.pool for step in steps] == [1, 2, 2, 3, 3]


def test_images_keep_their_own_size_and_volumes_are_taken_whole_by_a_3d_network():
    images = [dataset(1, size)[0][0] for size in (16, 24, 40)]
    steps = segment_dataset(LikeShown(), images, START, size=16)
    assert [step.mask.shape for step in steps] == [(16, 16), (24, 24), (40, 40)]
    volumes, masks = dataset(2, dims=3)
    start = Support(*[(array,) for array in disc(16, 0.7, dims=3)])
    steps = segment_dataset(LikeShown(3), volumes, start, size=16, truth=masks)
    assert [step.mask.shape for step in steps] == [(16, 16, 16)] * 2
    assert min(step.dice for step in steps) > 0.9


@pytest.mark.parametrize("select", ["random", "diverse"])
def test_other_selections_are_bounded_too(select):
    images, _ = dataset(6)
    steps = segment_dataset(
        LikeShown(), images, START, size=16, most=2, select=select, generator=rng(0)
    )
    assert [step.support for step in steps] == [1, 2, 2, 2, 2, 2]


def test_what_does_not_fit_is_refused():
    images, masks = dataset(2)
    with pytest.raises(ValueError, match="one mask for each image, got 1 for 2"):
        segment_dataset(LikeShown(), images, START, size=16, truth=masks[:1])
    with pytest.raises(ValueError, match=r"images of 2 axes, got \(16, 16, 16\) for image 0"):
        segment_dataset(LikeShown(), [np.zeros((16,) * 3, np.float32)], START, size=16)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\], got .* in image 1"):
        segment_dataset(LikeShown(), [images[0], images[1] * 100], START, size=16)
    with pytest.raises(ValueError, match=r"as large as its image, got \(8, 16\) for image 0"):
        segment_dataset(LikeShown(), images, START, size=16, correct=lambda _, mask: mask[:8])
