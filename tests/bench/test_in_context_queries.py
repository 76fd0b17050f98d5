from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.bench import in_context_queries as queries
from fmtutor.core.seeds import rng
from fmtutor.data.task_bank import Task, TaskBank

LEFT, RIGHT = (Task("c", "CT", "axial", f"hip_{side}") for side in ("left", "right"))


class MeanMask(nn.Module):
    """Answers with the mean of the examples' masks."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, 1))

    def forward(self, query, support_images, support_masks, *, chunk=None):
        return (20 * (support_masks.mean(1) - 0.5)).expand(len(query), -1, -1, -1)


@pytest.fixture(scope="module")
def bank() -> TaskBank:
    """Twelve slices of four patients: left hip in rows 2-9, right in rows 18-25, like images."""
    images = np.tile(rng("bank").integers(0, 255, (1, 32, 32)), (12, 1, 1)).astype(np.uint8)
    labels = np.zeros((12, 32, 32), np.uint16)
    labels[:, 2:10, 4:14], labels[:, 18:26, 4:14] = 1, 2
    rows = {task: np.arange(12) for task in (LEFT, RIGHT)}
    return TaskBank(
        size=32, images=images, labels=labels, patient=np.repeat(np.arange(4), 3),
        level=np.zeros(12), rows=rows, every={("c", "axial"): np.arange(12)},
        ids={("c", "hip_left"): np.array([1]), ("c", "hip_right"): np.array([2])},
        weights={"c": 1.0},
    )  # fmt: skip


def asked(bank: TaskBank, **changes) -> queries.Answered:
    options = {"support": 4, "generator": rng(0), **changes}
    return queries.answered(MeanMask(), bank, LEFT, 4, **options)


def with_mask(found: queries.Answered, mask: np.ndarray) -> queries.Answered:
    return replace(found, probability=torch.from_numpy(mask).float())


def test_examples_are_of_other_patients_and_as_many_as_there_are(bank: TaskBank) -> None:
    found = asked(bank)
    assert len(found.shown) == 4
    assert found.dice == 1
    assert not set(found.shown) & {3, 4, 5}
    assert len(asked(bank, support=50).shown) == 9


def test_with_the_other_structures_examples_the_mask_follows_them(bank: TaskBank) -> None:
    found = asked(bank, given=RIGHT)
    assert found.dice == 0
    assert found.task == LEFT
    both = {"left": asked(bank), "right": replace(asked(bank, given=RIGHT), task=RIGHT)}
    np.testing.assert_array_equal(queries.dice_table(both, bank), np.eye(2))


def test_each_cause_is_named_by_its_rule(bank: TaskBank) -> None:
    found = asked(bank)
    blank = np.zeros((32, 32))
    assert queries.cause_of(with_mask(found, blank), bank) == "nothing"
    twin = blank.copy()
    twin[18:26, 4:14] = 1
    assert queries.cause_of(with_mask(found, twin), bank) == "other side"
    much, little, moved = blank.copy(), blank.copy(), blank.copy()
    much[2:16, 0:18], little[2:6, 4:8], moved[2:10, 16:26] = 1, 1, 1
    assert queries.cause_of(with_mask(found, much), bank) == "too much"
    assert queries.cause_of(with_mask(found, little), bank) == "too little"
    assert queries.cause_of(with_mask(found, moved), bank) == "elsewhere"
    tiny = replace(with_mask(found, moved), truth=torch.from_numpy(little > 0))
    assert queries.cause_of(tiny, bank) == "small"
    strange = replace(with_mask(found, moved), image=1 - found.image)
    assert queries.cause_of(strange, bank) == "unlike"


def test_random_questions_go_through_the_tasks_in_turn(bank: TaskBank) -> None:
    found = queries.sampled(MeanMask(), bank, 4, support=2, generator=rng(1))
    assert sorted(one.task.region for one in found) == ["hip_left"] * 2 + ["hip_right"] * 2
    again = queries.sampled(MeanMask(), bank, 4, support=2, generator=rng(1))
    assert [one.row for one in found] == [one.row for one in again]
