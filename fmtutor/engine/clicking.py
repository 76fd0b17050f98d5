"""The simulated conversation inside a training step: ask, look at the errors, click, ask again.

For any promptable network (`fmtutor.core.prompts`): the image is embedded once, then

for each round
    the simulator clicks where the last answer is wrong        (`fmtutor.data.clicks`)
    the network answers all it was told, and its last mask     (``model.decode``)

A `Plan` says how systems differ in this: how many rounds, who clicks, whether a box comes first,
whether the network sees all clicks or the newest, and which rounds have a gradient.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Answer, Prompts
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.boxes import relaxed, tight
from fmtutor.data.clicks import SIMULATORS, simulate
from fmtutor.data.objects import ObjectBatch

AnswerLoss = Callable[[Answer, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one conversation runs.

    Raises:
        ValueError: A number cannot be meant, or a simulator is unknown.
    """

    rounds: tuple[int, int] = (1, 4)
    """Fewest and most rounds; a batch draws its number."""
    simulators: tuple[str, ...] = ("uniform", "centre", "human")
    """Names in `fmtutor.data.clicks.SIMULATORS`; each object draws one and keeps it."""
    clicks: tuple[int, ...] = (1,)
    """Clicks of a later round, drawn for the batch; the first round has one."""
    box: float = 0.0
    """Chance that the batch begins with a box in place of a click."""
    looseness: float = 0.1
    """Largest outward movement of a side of the box, as a share of its length."""
    gradient: Literal["last", "every"] = "every"
    """Whether each answer is learnt from, or the last alone: the others then cost a third."""
    feedback: bool = True
    """Whether the network sees its last mask."""
    newest: bool = False
    """Whether it sees the clicks of this round alone; the mask has to remember the others."""
    mask_only: int = 0
    """Rounds that add no click, so that the mask alone is to be improved: the last one, then
    others at random. The first is never one."""
    candidates: bool = False
    """Whether the first round asks for several candidates, of which the one of the highest
    expected overlap goes on."""

    def __post_init__(self) -> None:
        if not 1 <= self.rounds[0] <= self.rounds[1]:
            raise ValueError(f"rounds are a range from 1 on, got {self.rounds}; give (1, 4).")
        if unknown := sorted(set(self.simulators) - set(SIMULATORS)) or not self.simulators:
            raise ValueError(f"simulators are some of {sorted(SIMULATORS)}, got {unknown}; fix it.")
        if not self.clicks or min(self.clicks) < 1:
            raise ValueError(f"clicks of a round are 1 or more, got {self.clicks}; give (1,).")


def rollout(model: Any, batch: ObjectBatch, plan: Plan) -> list[Answer]:
    """Hold the conversation about a batch and return the answers, first to last.

    Answers that the plan does not learn from have no gradient; `paid` leaves them out. Masks go
    from round to round without gradient.

    Args:
        model: With ``embed`` and ``decode``, see `fmtutor.core.prompts`.
        batch: Images and objects; its seed draws the plan's chances and the clicks.
        plan: How the conversation runs.
    """
    rng = rng_of("conversation", batch.seed)
    rounds = int(rng.integers(plan.rounds[0], plan.rounds[1] + 1))
    silent = _silent(rounds, plan.mask_only, rng)
    boxed = rng.random() < plan.box
    talk = _Talk(batch, plan, rng)
    embedding = model.embed(batch.image)
    answers: list[Answer] = []
    for number in range(rounds):
        if number == 0 and boxed:
            talk.draw_boxes()
        elif number not in silent:
            talk.click(int(rng.choice(plan.clicks)) if number else 1)
        learns = plan.gradient == "every" or number == rounds - 1
        with nullcontext() if learns else torch.no_grad():
            several = plan.candidates and number == 0
            answers.append(model.decode(embedding, talk.prompts(), candidates=several))
        if not learns:
            # Autocast keeps the weights that it cast, here without a gradient, for later rounds.
            torch.clear_autocast_cache()
        talk.hear(answers[-1])
    return answers


def conversation_loss(model: Any, batch: ObjectBatch, plan: Plan, loss: AnswerLoss) -> Tensor:
    """Return a loss as a mean over the answers of a `rollout` that its plan learns from.

    Args:
        model: See `rollout`.
        batch: Images and objects.
        plan: How the conversation runs.
        loss: Of an answer to N questions, their masks (N, *grid) and which are known (N,).
    """
    answers = paid(rollout(model, batch, plan), plan)
    truth, known = batch.truth[:, 0], batch.known.flatten()
    return torch.stack([loss(answer, truth, known) for answer in answers]).mean()


def paid(answers: Sequence[Answer], plan: Plan) -> Sequence[Answer]:
    """Return the answers that a plan learns from."""
    return answers if plan.gradient == "every" else answers[-1:]


def _silent(rounds: int, count: int, rng: np.random.Generator) -> set[int]:
    """Draw the rounds that add nothing: the last, and some between it and the first."""
    later = [*range(1, rounds - 1)]
    others = rng.permutation(later)[: max(0, count - 1)].tolist() if later else []
    return {rounds - 1, *others} if count and rounds > 1 else set()


@dataclass(eq=False)
class _Talk:
    """What was said and answered so far, about all questions of a batch."""

    batch: ObjectBatch
    plan: Plan
    rng: np.random.Generator
    points: list[np.ndarray] = field(default_factory=list)
    """One (R, dims) a click."""
    labels: list[np.ndarray] = field(default_factory=list)
    boxes: Tensor | None = None
    mask: Tensor | None = None
    since: int = 0
    """Clicks before this round."""

    def __post_init__(self) -> None:
        self.truth = self.batch.target.flatten(0, 1).cpu().numpy()
        self.answer = np.zeros_like(self.truth)
        names = self.plan.simulators
        self.names = [names[i] for i in self.rng.integers(len(names), size=len(self.truth))]

    def click(self, count: int) -> None:
        """Let each question's simulator click so many times; where nothing is wrong it does not."""
        self.since = len(self.points)
        for _ in range(count):
            points = np.zeros((len(self.truth), self.truth.ndim - 1), np.float32)
            labels = np.full(len(self.truth), NOTHING)
            for row, name in enumerate(self.names):
                made = simulate(name, self.truth[row], self.answer[row], self.rng)
                if made is not None:
                    points[row], labels[row] = made.point, INSIDE if made.positive else OUTSIDE
            self.points.append(points)
            self.labels.append(labels)

    def draw_boxes(self) -> None:
        """Say where each object is by a box that is a little too large."""
        found = [loose_box(mask, self.plan.looseness, self.rng) for mask in self.truth]
        self.boxes = torch.from_numpy(np.stack(found))

    def prompts(self) -> Prompts:
        """Return all that the network is told now."""
        first = self.since if self.plan.newest else 0
        rows, dims = len(self.truth), self.truth.ndim - 1
        points = np.stack([np.zeros((rows, dims), np.float32), *self.points[first:]], 1)[:, 1:]
        labels = np.stack([np.zeros(rows, np.int64), *self.labels[first:]], 1)[:, 1:]
        prompts = Prompts(
            points=torch.from_numpy(points),
            labels=torch.from_numpy(labels),
            boxes=self.boxes,
        ).to(self.batch.image.device)
        return prompts.with_mask(self.mask if self.plan.feedback else None)

    def hear(self, answer: Answer) -> None:
        """Keep the best candidate for the next round."""
        best = answer.best()
        self.mask = best.low.detach().float()
        self.answer = (best.logits[:, 0].detach() > 0).cpu().numpy()
        self.since = len(self.points)


def loose_box(mask: np.ndarray, looseness: float, rng: np.random.Generator) -> np.ndarray:
    """Return first and last voxel (2, dims) of a box around a mask, a little too large.

    Args:
        mask: Bool (*grid); an empty one gives a box around everything.
        looseness: Largest outward movement of a side, as a share of the box's length.
        rng: Draws the movements.
    """
    box = tight(mask if mask.any() else np.ones_like(mask))
    return relaxed(box, mask.shape, rng, share=looseness).astype(np.float32)
