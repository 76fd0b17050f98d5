import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.bench import in_context_scores as scores
from fmtutor.bench.in_context_systems import nearest_copy, specific_unet, systems_of
from fmtutor.data.episode_stream import fixed_episodes
from fmtutor.data.task_bank import bank_of
from fmtutor.paradigms import paradigm
from tests.data.test_task_bank import source


class Bright(nn.Module):
    """Answers what is bright, whatever the support shows."""

    def forward(self, query, support_images, support_masks, chunk=8):
        return (query - 0.5) * 40


@pytest.fixture(scope="module")
def bank():
    return bank_of([source("a", 5)], size=16)


def test_the_nearest_copy_hands_out_a_mask_of_the_support(bank):
    e = fixed_episodes(bank, bank.tasks[:1], supports=6, queries=1)[0]
    copied = nearest_copy(e)[0]
    apart = (e.support_images[0, :, 0] - e.query[0]).pow(2).mean((1, 2))
    assert torch.equal(copied, e.support_masks[0, int(apart.argmin()), 0])


def test_every_system_is_asked_the_same_questions(bank):
    rows = scores.support_size({"bright": Bright()}, bank, draws=2)
    assert {row["system"] for row in rows} == {"bright", "nearest_copy"}
    counts = {(r["structure"], r["axis"], r["draw"], r["support"]) for r in rows}
    assert len(rows) == 2 * len(counts)
    assert {row["support"] for row in rows} >= {1, 2, 4, 8, 16}
    assert all(0 <= row["dice"] <= 1 for row in rows)


def test_a_system_without_support_is_not_moved_by_the_exchange(bank):
    rows = scores.exchange({"bright": Bright()}, bank, draws=1)
    bright = [row for row in rows if row["system"] == "bright"]
    assert all(row["own"] == row["exchanged"] for row in bright)
    assert all(row["other"] != row["structure"] for row in rows)
    copied = [row["own"] - row["exchanged"] for row in rows if row["system"] == "nearest_copy"]
    assert np.mean(copied) > 0.05


def test_ensembles_and_choices_of_support_are_scored(bank):
    model = paradigm("universeg").build(paradigm("universeg").Config.tiny()).eval()
    rows = scores.ensembles(model, bank, draws=1)
    assert {row["members"] for row in rows} == {1, 2, 4, 8}
    assert all(row["variance"] == 0 for row in rows if row["members"] == 1)
    rows = scores.selection(model, bank, draws=1)
    assert {(row["how"], row["support"]) for row in rows} == {
        (how, s) for how in ("random", "nearest", "diverse") for s in (1, 4, 8)
    }


def test_a_specific_network_is_asked_about_other_patients(bank):
    task = next(t for t in bank.tasks if t.axis == "axial")
    asked = scores.halves(bank, task, 0, queries=4)
    assert asked.supports == scores.FULL
    shown = {image.numpy().tobytes() for image in asked.support_images[0]}
    assert not shown & {image.numpy().tobytes() for image in asked.query}


def test_a_specific_network_learns_its_support():
    bank = bank_of([source("a", 5)], size=32)  # four times halved, 16 pixels would leave one
    task = next(t for t in bank.tasks if t.axis == "axial" and t.region == "both")
    asked = scores.halves(bank, task, 0, queries=4)
    net, seconds = specific_unet(asked, seed=0, steps=60)
    with torch.inference_mode():
        mask = net(asked.support_images[0])[:, 0] > 0
    truth = asked.support_masks[0, :, 0] > 0.5
    assert float(2 * (mask & truth).sum() / (mask.sum() + truth.sum())) > 0.6
    assert seconds > 0


def test_candidates_answer_with_their_mean(bank):
    model = paradigm("tyche").build(paradigm("tyche").Config.tiny())
    e = fixed_episodes(bank, bank.tasks[:1], supports=3, queries=1)[0]
    answer = systems_of({"tyche": model})["tyche"]
    assert answer(e).shape == (1, 16, 16)
    assert torch.equal(answer(e), answer(e))
