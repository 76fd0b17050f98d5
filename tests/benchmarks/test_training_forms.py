"""The forms that benchmarks/training compares compute the same thing."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks.training.forms import (
    FORMS,
    in_turn,
    network,
    plain_partial_loss,
    plain_step,
    training,
    with_torch_norms,
)
from fmtutor.bench.comparison import SYSTEMS
from fmtutor.bench.recipes import Recipe
from fmtutor.core.devices import use_channels_last
from fmtutor.data.batches import Batch
from fmtutor.losses.partial import partial_loss
from fmtutor.paradigms.partial import fseft

CLASSES = len(SYSTEMS["masked"]().config.classes)


def _recipe() -> Recipe:
    recipe = SYSTEMS["masked"]()
    return replace(recipe, config=replace(recipe.config, channels=(8, 16), patch=(16, 8, 12)))


def _batch(position: int) -> Batch:
    """Two patches in which some classes are unknown and some known ones absent."""
    draw = torch.Generator().manual_seed(position)
    target = torch.rand(2, CLASSES, 16, 8, 12, generator=draw) > 0.8
    target[:, ::3] = False
    known = torch.rand(2, CLASSES, generator=draw) > 0.4
    return Batch(
        image=torch.rand(2, 1, 16, 8, 12, generator=draw),
        target=target & known[:, :, None, None, None],
        known=known,
        task=torch.tensor([0, 1]),
    )


def _gradients(model: torch.nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("present_only", [True, False])
@pytest.mark.parametrize("silent", ["none", "one sample", "all"])
def test_the_plain_loss_equals_partial_loss_in_value_and_gradient(present_only, silent):
    batch = _batch(3)
    known = batch.known.clone()
    known[: {"none": 0, "one sample": 1, "all": 2}[silent]] = False
    logits = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    weights = {"bce_weight": 4.0, "present_only": present_only}
    plain = plain_partial_loss(logits, batch.target, known, **weights)
    fast = partial_loss(
        logits, batch.target, known, reduction="sample_mean", smooth="both", **weights
    )
    torch.testing.assert_close(plain, fast)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (plain, fast)))


def test_a_step_with_the_plain_loss_equals_the_systems_own():
    model = network(_recipe(), "fast")
    torch.testing.assert_close(plain_step(model, _batch(0)), fseft.step(model, _batch(0)))


def test_torch_norms_and_channels_last_change_no_gradient():
    plain = network(_recipe(), "fast")
    theirs = with_torch_norms(copy.deepcopy(plain))
    last = use_channels_last(copy.deepcopy(plain))
    theirs.config = last.config = plain.config
    assert not [m for m in theirs.modules() if type(m).__name__ == "InstanceNorm"]
    expected = _gradients(plain, fseft.step(plain, _batch(0)))
    for other in (theirs, last):
        found = _gradients(other, fseft.step(other, _batch(0)))
        for one, two in zip(expected, found, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_trains_alike(form):
    losses = {
        name: [record.loss for record in training(_recipe(), name, _batch, steps=4)]
        for name in ("fp32", form)
    }
    assert losses[form] == pytest.approx(losses["fp32"], rel=0.02)


def test_prefetching_changes_no_bit():
    first, second = (
        [record.loss for record in training(_recipe(), "fast", _batch, steps=4, prefetch=ahead)]
        for ahead in (0, 2)
    )
    assert first == second


def test_works_take_turns_in_changing_order_and_warm_up_is_not_counted():
    calls: list[str] = []
    found = in_turn(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=5, warmup=1
    )
    rounds = ["".join(calls[i : i + 2]) for i in range(0, 12, 2)]
    assert len(calls) == 12
    assert set(rounds) == {"ab", "ba"}
    assert {seconds.repeats for seconds in found.values()} == {5}
