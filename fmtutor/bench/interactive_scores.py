"""Dice after each click, of 3D systems and of what learns nothing, as rows for result files.

Every curve is a fresh `fmtutor.engine.session.Session`, driven as a person drives it: no label is
looked at, the region follows the clicks. One exception says so in its row: ``oracle`` curves see a
crop centred on the label, as SAM-Med3D was published, and show what that is worth.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from fmtutor.bench.interactive_questions import TARGET, Extent, Question, questions
from fmtutor.core.ask import Clicks
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.balls import ball
from fmtutor.data.boxes import bare_dice
from fmtutor.data.domains import WIDE
from fmtutor.data.shelf import virtual_case
from fmtutor.engine.interaction import Answerer, Curve, Protocol, run_clicks, through
from fmtutor.engine.interaction_summary import area
from fmtutor.engine.regions_of_interest import label_centre
from fmtutor.engine.session import Session

SYSTEMS_3D = ("sam_med3d", "early_prompt")
"""Shipped networks of volumes."""
ORACLE = ("sam_med3d",)
"""Those whose published scores look at a crop centred on the label."""
BASELINES = ("sphere", "box")
RADII_MM = (8.0, 12.0, 18.0, 27.0, 40.0)
RADIUS_STRUCTURES = ("liver", "spleen", "kidney_left", "stomach", "aorta", "urinary_bladder")
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Clicking:
    """How each question is clicked."""

    clicks: int = 10
    """Of a curve."""
    simulators: tuple[str, ...] = ("centre", "uniform")
    """Of `fmtutor.data.clicks.SIMULATORS`."""
    draws: int = 3
    """Curves of a simulator that draws; "centre" does not, and has one."""
    drawn: tuple[str, ...] = (TARGET,)
    """Volumes where simulators that draw click too; on the others "centre" alone does."""
    radius_mm: float = 18.0
    """Of the balls of the baseline "sphere"; see `fair_radius_mm`."""

    def curves(self, volume: str) -> Iterator[tuple[str, int]]:
        """Yield each simulator of a volume with its draws."""
        for simulator in self.simulators:
            draws = self.draws if volume in self.drawn else 0
            for draw in range(1 if simulator == "centre" else draws):
                yield simulator, draw


def curve_rows(
    models: Mapping[str, nn.Module], question: Question, clicking: Clicking | None = None
) -> Rows:
    """Return the curves of all systems on one question.

    Args:
        models: 3D networks by name; those in `ORACLE` are run with an oracle's crop too.
        question: What is asked.
        clicking: How often, and who clicks.

    Returns:
        Rows of the question's `about`, system, simulator, draw, roi, oracle, refused, open_s,
        first_s (embedding included), ``dice`` after 0, 1, 2 ... clicks, ``seconds`` a click.
    """
    clicking = clicking or Clicking()
    rows: Rows = []
    for simulator, draw in clicking.curves(question.volume):
        protocol = Protocol(simulator=simulator, clicks=clicking.clicks)
        for name, model in models.items():
            rows.append(network_row(name, model, question, protocol, draw))
        rows.append(sphere_row(question, protocol, draw, clicking.radius_mm))
    for name in (name for name in models if name in ORACLE):
        protocol = Protocol(simulator="centre", clicks=clicking.clicks, oracle=True)
        rows.append(network_row(name, models[name], question, protocol, 0))
    return [*rows, box_row(question, clicking.clicks)]


def network_row(
    name: str, model: nn.Module, question: Question, protocol: Protocol, draw: int = 0
) -> dict[str, Any]:
    """Return one curve of a 3D network, through a session of its own."""
    looking: dict[str, Any] = {"roi": "auto_zoom"}
    if protocol.oracle:
        centres = {"structure": label_centre(question.mask)}
        looking = {"roi": "oracle", "oracle_centres": centres}
    began = time.perf_counter()
    session = Session(model, question.case, structures=("structure",), **looking)
    opened = time.perf_counter() - began
    curve = _clicked(through(session), question, protocol, draw)
    about = {"system": name, "roi": looking["roi"], "open_s": round(opened, 4)}
    return {**question.about(), **about, **_curve_values(curve, protocol, draw)}


def sphere_row(
    question: Question, protocol: Protocol, draw: int, radius_mm: float
) -> dict[str, Any]:
    """Return the curve of a ball at each click."""
    painter = balls(question.mask.shape, radius_mm=radius_mm, spacing_mm=question.case.spacing_mm)
    curve = _clicked(painter, question, protocol, draw)
    about = {"system": "sphere", "roi": "none", "open_s": 0.0, "radius_mm": radius_mm}
    return {**question.about(), **about, **_curve_values(curve, protocol, draw)}


def box_row(question: Question, clicks: int) -> dict[str, Any]:
    """Return the flat curve of the tight box, filled: what it is worth before anybody looks."""
    worth = round(bare_dice(question.mask), 4)
    return {
        **question.about(), "system": "box", "roi": "none", "open_s": 0.0, "simulator": "none",
        "draw": 0, "oracle": False, "refused": 0, "dice": [worth] * (clicks + 1),
        "seconds": [], "first_s": None,
    }  # fmt: skip


def balls(shape: tuple[int, ...], *, radius_mm: float, spacing_mm: tuple[float, ...]) -> Answerer:
    """Return `fmtutor.engine.interaction_baselines.sphere_at_click` that paints the newest only."""
    mask = np.zeros(shape, dtype=bool)

    def answer(clicks: Clicks) -> np.ndarray:
        point, positive = clicks.points_vox[-1], clicks.positive[-1]
        mask[ball(point, shape, radius=radius_mm, spacing_mm=spacing_mm) > 0] = positive
        return mask.copy()

    return answer


def fair_radius_mm(
    radii_mm: tuple[float, ...] = RADII_MM, structures: tuple[str, ...] = RADIUS_STRUCTURES
) -> float:
    """Return the radius of balls that is best for a patient of training: largest mean area."""
    case, protocol = virtual_case(WIDE, 0), Protocol(simulator="centre")
    asked = [Question(volume="wide", case=case, structure=name) for name in structures]
    asked = [question for question in asked if question.ml >= Extent().least_ml]

    def height(radius: float) -> float:
        painters = [
            balls(q.mask.shape, radius_mm=radius, spacing_mm=case.spacing_mm) for q in asked
        ]
        curves = [_clicked(p, q, protocol, 0) for p, q in zip(painters, asked, strict=True)]
        return float(np.mean([area(curve) for curve in curves]))

    return max(sorted(radii_mm), key=height)


def all_curves(
    models: Mapping[str, nn.Module], extent: Extent | None = None, clicking: Clicking | None = None
) -> Rows:
    """Return the curves of all questions; `benchmarks/interaction_scores` does it with resume."""
    return [row for one in questions(extent) for row in curve_rows(models, one, clicking)]


def _clicked(answerer: Answerer, question: Question, protocol: Protocol, draw: int) -> Curve:
    """Click; a question's draw is the same for all systems."""
    rng = rng_of("interactive scores", question.key, protocol.simulator, draw)
    spacing = question.case.spacing_mm
    return run_clicks(answerer, question.mask, protocol, rng, spacing_mm=spacing)


def _curve_values(curve: Curve, protocol: Protocol, draw: int) -> dict[str, Any]:
    return {
        "simulator": protocol.simulator, "draw": draw, "oracle": protocol.oracle,
        "refused": curve.refused, "dice": [round(value, 4) for value in curve.dice],
        "seconds": [round(value, 4) for value in curve.seconds],
        "first_s": round(curve.seconds[0], 4) if curve.seconds else None,
    }  # fmt: skip
