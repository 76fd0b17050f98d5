import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fmtutor.core.prompts import Answer
from fmtutor.core.seeds import torch_rng
from fmtutor.losses.promptable import (
    FOCAL_WEIGHT,
    PromptLoss,
    cross_entropy_each,
    dice_each,
    focal_each,
    medical_loss,
    overlap_each,
    rated_loss,
    sam_loss,
)

LOSSES = {"sam": sam_loss, "medical": medical_loss, "rated": rated_loss}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def case(rows: int = 3, candidates: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, M, 5, 4), expected overlaps (N, M), targets (N, 5, 4)."""
    draw = torch_rng("promptable losses", rows, candidates)
    logits = torch.randn(rows, candidates, 5, 4, generator=draw)
    quality = torch.rand(rows, candidates, generator=draw)
    return logits, quality, torch.rand(rows, 5, 4, generator=draw) < 0.4


def answer_of(logits: Tensor, quality: Tensor) -> Answer:
    return Answer(logits=logits, quality=quality, low=logits)


def focal_by_hand(logits: Tensor, target: Tensor) -> Tensor:
    """Lin et al., equation 5, voxel by voxel: -a_t (1 - p_t)^2 log p_t."""
    p = logits.double().sigmoid()
    right = torch.where(target, p, 1 - p)
    balance = torch.where(target, 0.25, 0.75).double()
    return (-balance * (1 - right) ** 2 * right.log()).mean()


def test_focal_is_the_equation_of_the_paper_for_each_candidate() -> None:
    logits, _, target = case()
    found = focal_each(logits, target)
    for row in range(3):
        for m in range(3):
            wanted = focal_by_hand(logits[row, m], target[row])
            assert torch.isclose(found[row, m].double(), wanted, rtol=1e-5)


def test_focal_without_focus_or_balance_is_half_the_cross_entropy() -> None:
    logits, _, target = case()
    plain = focal_each(logits, target, gamma=0.0, alpha=0.5)
    assert torch.allclose(plain, 0.5 * cross_entropy_each(logits, target))


def test_focal_stays_finite_where_the_network_is_sure_and_wrong() -> None:
    logits = torch.full((1, 1, 2, 2), 200.0, requires_grad=True)
    loss = focal_each(logits, torch.zeros(1, 2, 2, dtype=torch.bool)).sum()
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert bool((logits.grad.isfinite() & (logits.grad > 0)).all())


def test_cross_entropy_is_that_of_torch() -> None:
    logits, _, target = case()
    wanted = functional.binary_cross_entropy_with_logits(logits[1, 2], target[1].float())
    assert torch.isclose(cross_entropy_each(logits, target)[1, 2], wanted)


@pytest.mark.parametrize("squared", [False, True])
def test_dice_is_one_less_twice_the_overlap_over_the_sums_each_plus_one(squared: bool) -> None:
    logits, _, target = case()
    p, truth = logits[2, 1].sigmoid(), target[2].float()
    below = (p**2 if squared else p).sum() + truth.sum()
    wanted = 1 - (2 * (p * truth).sum() + 1) / (below + 1)
    assert torch.isclose(dice_each(logits, target, squared=squared)[2, 1], wanted)


def test_overlap_counts_voxels() -> None:
    target = torch.tensor([[True, True, False, False]])
    logits = torch.tensor([[[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [-1.0] * 4]])
    assert overlap_each(logits, target).tolist() == [[pytest.approx(1 / 3), 1.0, 0.0]]


def test_nothing_answered_to_nothing_overlaps_fully() -> None:
    logits, target = -torch.ones(1, 1, 4), torch.zeros(1, 4, dtype=torch.bool)
    assert overlap_each(logits, target).item() == 1.0
    assert overlap_each(-logits, target).item() == 0.0


def test_sam_weighs_focal_to_dice_as_20_to_1_and_adds_the_error_of_the_overlap() -> None:
    logits, quality, target = case(candidates=1)
    parts = FOCAL_WEIGHT * focal_each(logits, target) + dice_each(logits, target)
    parts = parts + (quality - overlap_each(logits, target)) ** 2
    found = sam_loss(answer_of(logits, quality), target, torch.ones(3, dtype=torch.bool))
    assert FOCAL_WEIGHT == 20
    assert torch.isclose(found, parts.mean())


def test_the_medical_loss_takes_no_notice_of_the_expected_overlap_and_the_rated_one_does() -> None:
    logits, quality, target = case()
    known = torch.ones(3, dtype=torch.bool)

    def of(loss: PromptLoss, expected: Tensor) -> float:
        return float(loss(answer_of(logits, expected), target, known))

    assert of(medical_loss, quality) == of(medical_loss, quality + 1)
    error = ((quality - overlap_each(logits, target)) ** 2).mean()
    assert of(rated_loss, quality) == pytest.approx(of(medical_loss, quality) + float(error))


@every_loss
def test_only_the_best_candidate_pays_for_its_mask(loss: PromptLoss) -> None:
    logits, quality, target = case()
    logits.requires_grad_()
    loss(answer_of(logits, quality), target, torch.ones(3, dtype=torch.bool)).backward()
    assert logits.grad is not None
    moved = logits.grad.flatten(2).abs().sum(2) > 0
    assert moved.sum(1).tolist() == [1, 1, 1]
    assert torch.equal(moved.int().argmax(1), loss.mask(logits, target).argmin(1))


@pytest.mark.parametrize("loss", [sam_loss, rated_loss], ids=["sam", "rated"])
def test_every_candidate_learns_its_overlap_and_through_it_no_mask_does(loss: PromptLoss) -> None:
    logits, quality, target = case()
    logits.requires_grad_()
    quality.requires_grad_()
    loss(answer_of(logits, quality), target, torch.ones(3, dtype=torch.bool)).backward()
    truth = overlap_each(logits, target)
    assert quality.grad is not None
    assert torch.allclose(quality.grad, 2 * (quality - truth).detach() / 9, atol=1e-6)


@every_loss
def test_an_unknown_object_adds_exactly_nothing(loss: PromptLoss) -> None:
    logits, quality, target = case()
    logits.requires_grad_()
    quality.requires_grad_()
    known = torch.tensor([True, False, True])
    found = loss(answer_of(logits, quality), target, known)
    found.backward()
    assert logits.grad is not None
    assert bool((logits.grad[1] == 0).all())
    assert bool((logits.grad[0] != 0).any())
    if loss.overlap:
        assert quality.grad is not None
        assert bool((quality.grad[1] == 0).all())
    alone = loss(answer_of(logits[known], quality[known]), target[known], known[known])
    assert torch.isclose(found, alone)


@every_loss
def test_nothing_known_is_zero_and_moves_nothing(loss: PromptLoss) -> None:
    logits, quality, target = case()
    logits.requires_grad_()
    found = loss(answer_of(logits, quality), target, torch.zeros(3, dtype=torch.bool))
    found.backward()
    assert found.item() == 0.0
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


@every_loss
def test_an_empty_target_asks_for_an_empty_mask(loss: PromptLoss) -> None:
    target, known = torch.zeros(1, 5, 4, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    quality = torch.ones(1, 1)
    full, empty = (
        loss(answer_of(torch.full((1, 1, 5, 4), at), quality), target, known) for at in (9.0, -9.0)
    )
    assert full.isfinite()
    assert empty < 0.01 < full
    logits = torch.zeros(1, 1, 5, 4, requires_grad=True)
    loss(answer_of(logits, quality), target, known).backward()
    assert logits.grad is not None
    assert bool((logits.grad > 0).all())  # downhill is less


@every_loss
def test_it_works_in_3d_as_in_2d(loss: PromptLoss) -> None:
    logits, quality, target = case()
    known = torch.ones(3, dtype=torch.bool)
    flat = loss(answer_of(logits, quality), target, known)
    solid = loss(
        answer_of(logits.unflatten(3, (2, 2)), quality), target.unflatten(2, (2, 2)), known
    )
    assert torch.isclose(flat, solid)
