"""SAM whole: embed once, answer many times, and what each argument of its shape does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fmtutor.core.prompts import Prompts
from fmtutor.nets.sam import INTENSITY, SAM_MEAN, SAM_STD, Sam, Shape
from fmtutor.nets.sam_shapes import medsam, sam_med2d, sam_med3d, vit_b
from tests.golden.recipe import filled, image

FLAT = Shape(
    image=(24, 40), patch=4, features=16, depth=2, heads=2, window=4, global_blocks=(1,),
    prompt_features=24, decoder_heads=2, decoder_hidden=16, quality_hidden=8,
)  # fmt: skip
SOLID = replace(FLAT, image=(8, 16, 12))
STEM = replace(FLAT, patch=8, stem=(4, 6), details=True, absolute=False)
SHAPES = {"2D": FLAT, "3D": SOLID, "stem": STEM}


def sam(shape: Shape) -> Sam:
    model = Sam(shape)
    model.load_state_dict(filled(model.state_dict()))
    return model.double().eval()


def picture(shape: Shape, count: int = 1) -> Tensor:
    return image((count, 1, *shape.image)).double()


def clicks(shape: Shape, rows: int) -> Prompts:
    places = image((rows, 3, len(shape.image)), "places") * (torch.tensor(shape.image) - 1.0)
    return Prompts(points=places, labels=torch.tensor([[1, 0, 1]]).expand(rows, -1))


def row(prompts: Prompts, number: int) -> Prompts:
    part = slice(number, number + 1)
    mask = None if prompts.mask is None else prompts.mask[part]
    return Prompts(points=prompts.points[part], labels=prompts.labels[part], mask=mask)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_answer_lies_on_the_images_grid(shape: Shape) -> None:
    model, given = sam(shape), picture(shape, 2)
    embedding = model.embed(given)
    for candidates, count in ((False, 1), (True, 3)):
        answer = model.decode(embedding, clicks(shape, 2), candidates=candidates)
        assert answer.logits.shape == (2, count, *shape.image)
        assert answer.quality.shape == (2, count)
        assert answer.low.shape == (2, count, *model.low_shape(shape.image))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_questions_of_one_image_are_answered_as_if_alone(shape: Shape) -> None:
    model, given = sam(shape), picture(shape, 2)
    low = 8 * image((6, 1, *model.low_shape(shape.image)), "mask").double() - 4
    prompts = clicks(shape, 6).with_mask(low)
    whole = model.decode(model.embed(given), prompts, candidates=True)
    for number in range(6):
        alone = model.decode(
            model.embed(given[number // 3 : number // 3 + 1]), row(prompts, number), candidates=True
        )
        assert torch.allclose(whole.logits[number], alone.logits[0], atol=1e-10)
        assert torch.allclose(whole.quality[number], alone.quality[0], atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_last_answer_is_a_prompt(shape: Shape) -> None:
    model, prompts = sam(shape), clicks(shape, 1)
    embedding = model.embed(picture(shape))
    first = model.decode(embedding, prompts, candidates=True).best()
    second = model.decode(embedding, prompts.with_mask(first.low))
    assert not torch.allclose(first.low, second.low, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_click_counts(shape: Shape) -> None:
    model, prompts = sam(shape), clicks(shape, 1)
    embedding = model.embed(picture(shape))
    before = model.decode(embedding, prompts).low
    for column in range(3):
        points = prompts.points.clone()
        points[:, column] = torch.tensor(shape.image) - 1 - points[:, column]
        moved = Prompts(points=points, labels=prompts.labels)
        assert not torch.allclose(model.decode(embedding, moved).low, before, atol=1e-6)


def test_details_reach_the_masks() -> None:
    model, prompts = sam(STEM), clicks(STEM, 1)
    embedding = model.embed(picture(STEM))
    assert [tuple(d.shape[1:]) for d in embedding.details] == [(6, 6, 10), (4, 12, 20)]
    coarse = replace(embedding, details=tuple(0 * d for d in embedding.details))
    assert not torch.allclose(
        model.decode(embedding, prompts).low, model.decode(coarse, prompts).low, atol=1e-4
    )


def test_without_absolute_places_another_size_is_embedded() -> None:
    model = sam(replace(STEM, positions="none"))
    given = image((1, 1, 16, 32)).double()
    answer = model.decode(model.embed(given), clicks(replace(STEM, image=(16, 32)), 1))
    assert answer.logits.shape == (1, 1, 16, 32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": (24,)}, "2 or 3 axes"),
        ({"details": True, "stem": (4,)}, "a stem of two halvings"),
        ({"intensity": "ct"}, "unknown intensity 'ct'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(FLAT, **changes)


def test_a_box_needs_vectors_for_corners() -> None:
    model = sam(replace(FLAT, boxes=False))
    boxes = torch.tensor([[[2.0, 3], [9, 12]]])
    asked = replace(clicks(FLAT, 1), boxes=boxes)
    with pytest.raises(ValueError, match="no embedding for boxes"):
        model.decode(model.embed(picture(FLAT)), asked)
    assert sam(FLAT).decode(sam(FLAT).embed(picture(FLAT)), asked).logits.shape == (1, 1, 24, 40)


def test_sam_sees_grey_levels_less_its_mean() -> None:
    given = image((2, 3, 4, 5))
    expected = [
        (given[:, c] * 255 - mean) / spread
        for c, (mean, spread) in enumerate(zip(SAM_MEAN, SAM_STD, strict=True))
    ]
    assert torch.allclose(INTENSITY["sam"](given), torch.stack(expected, 1), atol=1e-6)


def test_sam_med3d_sees_each_image_by_its_own_voxels_above_zero() -> None:
    given = (image((2, 1, 4, 5, 6)) - 0.3).clamp_min(0)
    given[1] *= 7
    found = INTENSITY["zscore"](given)
    for one, seen in zip(given.numpy(), found.numpy(), strict=True):
        inside = one[one > 0]
        expected = (one - inside.mean()) / inside.std(ddof=1)
        assert np.allclose(seen, expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_an_image_without_contrast_stays_finite(value: float) -> None:
    assert bool(INTENSITY["zscore"](torch.full((1, 1, 4, 4, 4), value)).isfinite().all())


@pytest.mark.parametrize("shape", [vit_b, medsam, sam_med2d, sam_med3d])
def test_published_shapes_are_whole_patches_and_heads_of_64(shape) -> None:
    given = shape()
    assert all(size % given.patch == 0 for size in given.image)
    assert given.global_blocks == (2, 5, 8, 11)
    assert given.features // given.heads == 64


def test_what_sets_the_published_shapes_apart() -> None:
    assert replace(medsam(), intensity="sam") == vit_b()
    assert replace(sam_med2d(), image=(1024, 1024)) == vit_b()
    assert (sam_med3d().point_axes, sam_med3d().dense_axes) == ((0, 1, 2), (1, 0, 2))
    assert not sam_med3d().boxes
