import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Answer
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, loose_box, paid, rollout


def batch(seed=0):
    target = torch.zeros(1, 3, 8, 8, 6, dtype=torch.bool)
    target[0, 0, 1:4, 1:4, 1:4] = True
    target[0, 1, 4:7, 3:6, 2:5] = True  # the third is empty: it fills up the row
    image = target.any(1, keepdim=True).float()
    return ObjectBatch(image=image, target=target, known=torch.tensor([[True, True, False]]),
                       seed=seed)  # fmt: skip


class Listener(nn.Module):
    """Answers a constant everywhere and remembers what it was told."""

    def __init__(self, logit=-3.0):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))
        self.embedded, self.heard, self.candidates = 0, [], []

    def embed(self, image):
        self.embedded += 1
        return image

    def decode(self, embedding, prompts, *, candidates=False):
        self.heard.append(prompts)
        self.candidates.append(candidates)
        count = 3 if candidates else 1
        steps = torch.arange(count, dtype=torch.float32)[:, None, None, None]
        logits = self.logit + steps.expand(len(prompts), count, *embedding.shape[2:])
        return Answer(logits=logits, quality=logits.flatten(2).mean(2), low=logits)


def fixed(rounds=3, **changes):
    return Plan(**{"rounds": (rounds, rounds), "simulators": ("uniform",), **changes})


def test_the_image_is_embedded_once_and_every_round_answers():
    model = Listener()
    answers = rollout(model, batch(), fixed(4))
    assert model.embedded == 1
    assert len(answers) == len(model.heard) == 4
    assert answers[0].logits.shape == (3, 1, 8, 8, 6)


def test_clicks_add_up_and_lie_in_the_error():
    model = Listener()
    rollout(model, batch(), fixed(3))
    last = model.heard[-1]
    assert last.points.shape == (3, 3, 3)
    truth = batch().truth[:, 0]
    for row in range(2):
        assert (last.labels[row] == INSIDE).all()
        for point in last.points[row].long():
            assert truth[row][tuple(point)]
    assert (last.labels[2] == NOTHING).all()


def test_too_large_an_answer_is_corrected_from_outside():
    model = Listener(logit=3.0)
    rollout(model, batch(), fixed(2))
    assert model.heard[-1].labels[:2].tolist() == [[INSIDE, OUTSIDE]] * 2


def test_the_network_may_see_the_newest_click_alone():
    model = Listener()
    rollout(model, batch(), fixed(3, newest=True))
    assert [p.points.shape[1] for p in model.heard] == [1, 1, 1]


def test_the_last_mask_comes_back_without_gradient_or_not_at_all():
    model = Listener()
    rollout(model, batch(), fixed(2))
    assert model.heard[0].mask is None
    assert model.heard[1].mask is not None
    assert not model.heard[1].mask.requires_grad
    assert bool((model.heard[1].mask == -3).all())
    deaf = Listener()
    rollout(deaf, batch(), fixed(2, feedback=False))
    assert deaf.heard[1].mask is None


def test_the_best_candidate_of_the_first_round_goes_on():
    model = Listener()
    rollout(model, batch(), fixed(2, candidates=True))
    assert model.candidates == [True, False]
    assert bool((model.heard[1].mask == -1).all())


@pytest.mark.parametrize(("gradient", "learnt"), [("last", 1), ("every", 3)])
def test_a_plan_says_which_answers_are_learnt_from(gradient, learnt):
    plan = fixed(3, gradient=gradient)
    answers = rollout(Listener(), batch(), plan)
    assert [a.logits.requires_grad for a in answers] == [i >= 3 - learnt for i in range(3)]
    assert list(paid(answers, plan)) == answers[-learnt:]


def test_a_conversation_may_begin_with_a_box():
    model = Listener()
    rollout(model, batch(), fixed(2, box=1.0, looseness=0.0))
    first, second = model.heard
    assert first.points.shape[1] == 0
    assert first.boxes[:2].tolist() == [[[1, 1, 1], [3, 3, 3]], [[4, 3, 2], [6, 5, 4]]]
    assert second.points.shape[1] == 1
    assert second.boxes is not None


def test_mask_only_rounds_add_no_click():
    model = Listener()
    rollout(model, batch(), fixed(5, mask_only=2))
    counts = [p.points.shape[1] for p in model.heard]
    assert counts[0] == 1
    assert counts[-1] == counts[-2] == 3
    newest = Listener()
    rollout(newest, batch(), fixed(2, mask_only=1, newest=True))
    assert [p.points.shape[1] for p in newest.heard] == [1, 0]


def test_a_round_may_have_several_clicks():
    model = Listener()
    rollout(model, batch(), fixed(2, clicks=(5,)))
    assert [p.points.shape[1] for p in model.heard] == [1, 6]


def test_a_seed_draws_the_same_conversation_again():
    plan = Plan(rounds=(1, 5), simulators=("uniform", "human"), box=0.5)

    def told(seed):
        model = Listener()
        rollout(model, batch(seed), plan)
        return [p.points.tolist() for p in model.heard]

    assert told(1) == told(1)
    assert len({str(told(seed)) for seed in range(5)}) > 1


def test_rounds_without_gradient_do_not_take_it_from_later_ones_in_bf16():
    model = nn.Conv3d(1, 1, 3, padding=1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = model

        def embed(self, image):
            return image

        def decode(self, embedding, prompts, *, candidates=False):
            logits = self.conv(embedding.repeat_interleave(3, 0)).float()
            return Answer(logits=logits, quality=logits.flatten(2).mean(2), low=logits)

    with torch.autocast("cpu", torch.bfloat16):
        answers = rollout(Net(), batch(), fixed(3, gradient="last"))
    answers[-1].logits.sum().backward()
    assert model.weight.grad is not None
    assert float(model.weight.grad.abs().sum()) > 0


def test_a_loose_box_holds_the_object_and_stays_on_the_grid():
    mask = batch().target[0, 0].numpy()
    for seed in range(8):
        (low, high) = loose_box(mask, 0.5, rng_of(seed))
        assert (low >= 0).all()
        assert (low <= 1).all()
        assert (high >= 3).all()
        assert (high < mask.shape).all()
    everything = loose_box(np.zeros((4, 5), bool), 0.5, rng_of(0))
    assert everything.tolist() == [[0, 0], [3, 4]]


@pytest.mark.parametrize(
    "changes", [{"rounds": (0, 2)}, {"rounds": (3, 2)}, {"simulators": ("bot",)}, {"clicks": ()}]
)
def test_a_plan_that_cannot_be_meant_is_refused(changes):
    with pytest.raises(ValueError, match="got"):
        Plan(**changes)
