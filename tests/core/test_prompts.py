import pytest
import torch
from jaxtyping import TypeCheckError

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Answer, Prompts, no_points


def two_questions() -> Prompts:
    return Prompts(
        points=torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]]]),
        labels=torch.tensor([[INSIDE, OUTSIDE], [INSIDE, NOTHING]]),
        boxes=torch.zeros(2, 2, 2),
    )


def test_the_length_is_the_number_of_questions() -> None:
    assert len(two_questions()) == 2
    assert len(no_points(5, 3)) == 5


def test_parts_of_different_length_are_refused_by_name() -> None:
    parts = {"points": torch.zeros(2, 1, 3), "labels": torch.zeros(2, 1).long()}
    with pytest.raises(TypeCheckError, match="text"):
        Prompts(**parts, text=torch.zeros(3, 8))
    unchecked = object.__new__(Prompts)  # as for users, for whom shape checks are off
    for name, value in {**parts, "text": torch.zeros(3, 8)}.items():
        object.__setattr__(unchecked, name, value)
    with pytest.raises(ValueError, match=r"one row a question, got .*'text': 3"):
        unchecked.__post_init__()


def test_no_points_leaves_room_for_what_else_is_asked() -> None:
    nothing = no_points(2, 3)
    assert nothing.points.shape == (2, 0, 3)
    assert nothing.labels.shape == (2, 0)
    assert nothing.labels.dtype == torch.long
    assert nothing.boxes is nothing.mask is nothing.scribbles is nothing.text is None


def test_the_last_answer_is_added_and_taken_away_and_the_rest_stays() -> None:
    before, mask = two_questions(), torch.ones(2, 1, 4, 4)
    after = before.with_mask(mask)
    assert after.mask is mask
    assert before.mask is None
    assert after.points is before.points
    assert after.boxes is before.boxes
    assert after.with_mask(None).mask is None


def test_a_mask_of_other_length_is_refused() -> None:
    with pytest.raises((ValueError, TypeCheckError), match="mask"):
        two_questions().with_mask(torch.ones(1, 1, 4, 4))


def test_moving_to_a_device_moves_every_part_and_keeps_what_is_missing() -> None:
    moved = two_questions().with_mask(torch.ones(2, 1, 4, 4)).to("meta")
    parts = (moved.points, moved.labels, moved.boxes, moved.mask)
    assert all(part is not None and part.device.type == "meta" for part in parts)
    assert moved.text is None
    assert moved.scribbles is None


def test_the_best_answer_is_the_one_of_the_highest_expected_overlap() -> None:
    logits = torch.arange(24.0).reshape(2, 3, 2, 2)
    quality = torch.tensor([[0.1, 0.9, 0.5], [0.8, 0.2, 0.3]])
    best = Answer(logits=logits, quality=quality, low=-logits).best()
    assert torch.equal(best.logits[:, 0], torch.stack([logits[0, 1], logits[1, 0]]))
    assert torch.equal(best.low, -best.logits)
    assert torch.allclose(best.quality, torch.tensor([[0.9], [0.8]]))


def test_of_a_single_candidate_the_best_is_itself() -> None:
    one = Answer(logits=torch.rand(2, 1, 3), quality=torch.rand(2, 1), low=torch.rand(2, 1, 3))
    assert torch.equal(one.best().logits, one.logits)
    assert torch.equal(one.best().quality, one.quality)
