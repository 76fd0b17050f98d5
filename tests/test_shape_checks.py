"""The canary of the shape checks: without it, a lost pytest option would check nothing."""

import pytest
import torch
from jaxtyping import TypeCheckError

from fmtutor.core.seeds import seed_everything
from fmtutor.data.batches import Batch


def _batch(**changes: torch.Tensor) -> Batch:
    parts = {
        "image": torch.zeros(2, 1, 4, 5, 6),
        "target": torch.zeros(2, 3, 4, 5, 6, dtype=torch.bool),
        "known": torch.ones(2, 3, dtype=torch.bool),
        "task": torch.zeros(2, dtype=torch.int64),
    }
    return Batch(**(parts | changes))


def test_a_batch_whose_shapes_agree_is_accepted():
    assert _batch().image.shape == (2, 1, 4, 5, 6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": torch.zeros(2, 1, 4, 5)},
        {"known": torch.ones(2, 4, dtype=torch.bool)},
        {"target": torch.zeros(2, 3, 4, 5, 6)},
    ],
    ids=["an axis missing", "another number of classes", "another dtype"],
)
def test_the_shape_checks_are_on_in_tests(wrong):
    with pytest.raises(TypeCheckError):
        _batch(**wrong)


def test_a_call_that_names_no_array_is_checked_too():
    with pytest.raises(TypeCheckError, match="seed"):
        seed_everything("zero")
