import torch

from fmtutor.data.objects import ObjectBatch


def batch(**changes):
    parts = {
        "image": torch.rand(2, 1, 4, 5, 6),
        "target": torch.rand(2, 3, 4, 5, 6) > 0.5,
        "known": torch.ones(2, 3, dtype=torch.bool),
    }
    return ObjectBatch(**{**parts, **changes})


def test_the_questions_are_ordered_image_by_image():
    b = batch(seed=7)
    assert b.objects == 3
    assert b.truth.shape == (6, 1, 4, 5, 6)
    assert torch.equal(b.truth[4, 0], b.target[1, 1])


def test_moving_a_batch_keeps_names_and_seed():
    moved = batch(names=(("a",) * 3,) * 2, seed=7).to("cpu")
    assert (moved.seed, moved.names[1]) == (7, ("a", "a", "a"))
