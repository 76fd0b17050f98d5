"""What is asked of promptable networks live: prompts that are read, boxes that are bare."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmtutor.bench import promptable
from fmtutor.core.prompts import Answer
from fmtutor.data.cases import Case
from fmtutor.data.fixed_slices import fixed_slices
from fmtutor.engine.clicking import Plan
from fmtutor.nets.prompt_channels import filled


class Boxes(torch.nn.Module):
    """Answers a box by itself, and a click by a square of seven pixels; it expects 0.5 of all."""

    def embed(self, image):
        return image

    def decode(self, image, prompts, *, candidates=False):
        at = prompts.boxes
        if at is None:
            at = torch.stack([prompts.points[:, 0] - 3, prompts.points[:, 0] + 3], 1)
        logits = filled(at, tuple(image.shape[2:]))[:, None].float() * 2 - 1
        logits = logits.repeat(1, 3 if candidates else 1, 1, 1)
        quality = torch.full(logits.shape[:2], 0.5)
        return Answer(logits=logits, quality=quality, low=logits)


def case() -> Case:
    labels = np.zeros((32, 32, 6), np.uint8)
    labels[4:12, 5:13, 1:5] = 1
    labels[18:28, 16:30, 1:5] = 2
    image = labels.astype(np.float32) * 100
    return Case(name="two", image=image, labels=labels, table={1: "liver", 2: "spleen"},
                affine=np.diag([3.0, 3.0, 3.0, 1.0]))  # fmt: skip


def slices():
    return fixed_slices(case(), ("liver", "spleen"), size=32, per_structure=2)


def test_a_network_that_reads_its_prompt_loses_all_by_the_exchange():
    model = Boxes()
    found = promptable.prompt_scores(model, slices())
    assert found["box"] > 0.9
    assert found["click"] > 0.4
    assert found[promptable.OTHER] == 0
    assert model.training


def test_an_exchange_needs_two_structures():
    one = fixed_slices(case(), ("liver",), size=32)
    with pytest.raises(ValueError, match="two structures"):
        promptable.prompt_scores(Boxes(), one)


def test_ratings_have_the_single_mask_and_three_candidates_of_each_question():
    frame = promptable.ratings(Boxes(), slices())
    assert set(frame["mask"]) == {0, 1, 2, 3}
    assert set(frame["expected"]) == {0.5}
    ways = promptable.choices(frame)
    assert ways["best of three"] == pytest.approx(ways[promptable.SINGLE])


def test_the_head_chooses_by_what_it_expects_and_the_best_needs_the_truth():
    frame = promptable.ratings(Boxes(), slices())
    first = frame.index[frame["mask"] == 1]
    frame.loc[first, "expected"], frame.loc[first, "overlap"] = 0.9, 0.0
    ways = promptable.choices(frame)
    assert ways["highest expected of three"] == 0
    assert ways["best of three"] > ways["mean of three"] > 0


def test_bare_boxes_of_blocks_are_perfect_and_small_structures_are_left_out():
    table = promptable.bare_boxes(case(), ("liver", "spleen", "aorta"), least_ml=7.0)
    assert list(table.index) == ["spleen"]
    row = table.loc["spleen"]
    assert row["slices"] == 4
    assert row["box per slice"] == row["one 3D box"] == 1


def test_a_missing_network_is_named_with_its_command(monkeypatch):
    built = SimpleNamespace(Config=SimpleNamespace(quick=lambda: None), build=lambda c: Boxes())
    monkeypatch.setattr(promptable, "shipped", dict)
    monkeypatch.setattr(promptable, "paradigm", lambda name: built)
    model, why = promptable.network("sam_base")
    assert not model.training
    assert "fmtutor train sam," in why
    assert "--name sam_base" in why


@pytest.mark.parametrize(("several", "found"), [(True, 1.0), (False, 0.0)])
def test_a_first_question_is_asked_as_in_training(several, found):
    class Learnt(Boxes):
        config = SimpleNamespace(plan=Plan(candidates=several))

        def decode(self, image, prompts, *, candidates=False):
            answer = super().decode(image, prompts, candidates=candidates)
            return answer if candidates else replace(answer, logits=-torch.ones_like(answer.logits))

    assert promptable.prompt_scores(Learnt(), slices())["box"] == found
