import pytest
import torch

from fmtutor.losses.in_context import best_candidate, dice_bce, soft_dice_each

TARGET = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
TARGET[..., 2:6, 2:6] = True
KNOWN = torch.ones(1, 1, dtype=torch.bool)
RIGHT = torch.where(TARGET, 20.0, -20.0)


def test_a_perfect_map_costs_nothing_and_an_opposite_one_much():
    assert float(dice_bce(RIGHT, TARGET, KNOWN)) == pytest.approx(0, abs=1e-6)
    assert float(dice_bce(-RIGHT, TARGET, KNOWN)) > 10


def test_an_empty_answer_to_an_empty_target_costs_nothing():
    nothing = torch.zeros_like(TARGET)
    assert float(dice_bce(torch.full((1, 1, 8, 8), -20.0), nothing, KNOWN)) < 1e-6


def test_only_the_best_candidate_pays():
    logits = torch.cat([-RIGHT, RIGHT * 0.1, torch.zeros_like(RIGHT)], 1).requires_grad_()
    best_candidate(logits, TARGET, KNOWN).backward()
    paid = logits.grad.abs().sum((0, 2, 3)) > 0
    assert paid.tolist() == [False, True, False]


def test_each_candidate_has_its_own_dice():
    each = soft_dice_each(torch.cat([RIGHT, -RIGHT], 1), TARGET)
    assert each.shape == (1, 2)
    assert float(each[0, 0]) < 1e-6 < 0.9 < float(each[0, 1])


def test_the_mean_is_taken_over_known_queries_alone():
    logits = torch.cat([RIGHT, -RIGHT])
    known = torch.tensor([[True], [False]])
    both = TARGET.expand(2, 1, 8, 8)
    assert float(dice_bce(logits, both, known)) == float(dice_bce(RIGHT, TARGET, KNOWN))


def test_maps_of_volumes_work_too():
    target = TARGET[..., None].expand(1, 1, 8, 8, 4)
    logits = torch.where(target, 20.0, -20.0)
    assert float(dice_bce(logits, target, KNOWN)) < 1e-6
