"""The comparison of adapted systems: what they are asked, and how answers are scored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.bench.interactive_adaptation import (
    BASE,
    BOX,
    CLICK,
    SCRATCH,
    SYSTEMS,
    VOLUME_CLICK,
    prompts_of,
    scores,
    summary,
)
from fmtutor.data.cases import Case
from fmtutor.paradigms import INTERACTIVE, paradigm
from fmtutor.paradigms.interactive.samed import SYNAPSE


def case() -> Case:
    labels = np.zeros((24, 24, 12), np.uint8)
    labels[3:12, 4:13, 2:10] = 1
    labels[14:22, 12:21, 3:9] = 2
    image = np.where(labels == 1, 200.0, np.where(labels == 2, -150.0, 0.0)).astype(np.float32)
    return Case(
        name="two", image=image, labels=labels, table={1: "liver", 2: "spleen"},
        affine=np.diag([3.0, 3.0, 3.0, 1.0]),
    )  # fmt: skip


def test_prompts_of_a_slab_lie_in_its_middle_slice() -> None:
    truth = torch.zeros(1, 16, 16, 5, dtype=torch.bool)
    truth[:, 2:9, 4:11, :] = True
    truth[:, 12:, 12:, 0] = True
    box, click = prompts_of(truth, BOX), prompts_of(truth, CLICK)
    assert box.boxes is not None
    assert box.boxes[0].tolist() == [[2, 4, 0], [8, 10, 4]]
    assert click.points[0].tolist() == [[5, 7, 2]]
    flat = prompts_of(truth[..., 2], BOX)
    assert flat.boxes is not None
    assert flat.boxes[0].tolist() == [[2, 4], [8, 10]]


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_system_is_asked_each_of_its_prompts(name: str) -> None:
    how = SYSTEMS[name]
    module = paradigm(how.system)
    assert how.system in INTERACTIVE
    changes = {"classes": how.classes} if how.classes else {}
    config = module.Config.tiny(**changes | ({"slices": 5} if how.system == "ma_sam" else {}))
    rows = list(scores(module.build(config), how, [case()], ("liver", "spleen")))
    asked = {(row["structure"], row["prompt"]) for row in rows}
    assert asked == {(s, p) for s in ("liver", "spleen") for p in how.prompts}
    assert all(0 <= row["dice"] <= 1 for row in rows)
    per_case = 1 if VOLUME_CLICK in how.prompts else 3
    assert all(row["questions"] >= per_case for row in rows)


def test_a_network_that_knows_the_answer_scores_one() -> None:
    how = replace(SYSTEMS["samed"], classes=SYNAPSE)

    class Oracle(torch.nn.Module):
        config = paradigm("samed").Config.tiny(classes=SYNAPSE)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(1, 9, *image.shape[2:])
            logits[:, 0] = 0.5
            logits[:, 1 + SYNAPSE.index("liver")] = (image[:, 0] > 0.75).float()
            logits[:, 1 + SYNAPSE.index("spleen")] = (image[:, 0] < 0.25).float()
            return logits

    found = {r["structure"]: r["dice"] for r in scores(Oracle(), how, [case()], ("liver",))}
    assert found["liver"] > 0.9


def test_the_summary_is_a_mean_over_structures_and_seeds() -> None:
    rows = [
        {"system": "medsam", "start": start, "prompt": BOX, "seed": seed, "dice": dice}
        for start, seed, dice in ((BASE, 0, 0.8), (BASE, 1, 0.6), (SCRATCH, 0, 0.3))
    ]
    found = summary(rows)
    assert found["medsam", BASE, BOX] == pytest.approx(0.7)
    assert found["medsam", SCRATCH, BOX] == pytest.approx(0.3)
