"""Colours that stand side by side in figures and widgets can be told apart without red and green.

Deuteranopia, the most frequent blindness to colours, is simulated in linear RGB; the distance is
CIEDE2000 between the simulated colours.
"""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

ROOT = Path(__file__).parents[1]
PARTS = ("bench", "widgets", "data")
HEX = re.compile(r"#[0-9a-fA-F]{6}")
# Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009: deuteranopia, severity 1.
DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
])  # fmt: skip
# The closest two of the palette by Okabe and Ito, which was made for this, lie at 11.6.
LEAST_DISTANCE = 10.0
# Found too close. Their figures lie in committed, executed notebooks: a new colour means a new run.
TO_MEND = {
    "candidate_results.COLOURS",
    "figures_annotation.COLOURS",
    "figures_few_shot.FAMILY_COLOURS",
    "figures_few_shot.VERDICTS",
    "figures_heads.FORM_COLOURS",
    "figures_interaction.COLOURS",
    "figures_promptable.(INSIDE, OUTSIDE, BOX)",
    "partial_results.COLOURS",
}


def palettes() -> dict[str, list[str]]:
    """Return the module-level constants that hold two colours or more, by module and name."""
    found = {}
    paths = [p for part in PARTS for p in sorted((ROOT / "fmtutor" / part).glob("*.py"))]
    for path in paths:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                colours = [
                    part.value.lower()
                    for part in ast.walk(node.value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    and HEX.fullmatch(part.value)
                ]  # fmt: skip
                if len(set(colours)) > 1:
                    found[f"{path.stem}.{ast.unparse(target)}"] = list(dict.fromkeys(colours))
    return found


def seen(colour: str) -> np.ndarray:
    """Return a colour as a deuteranope sees it, in CIELAB."""
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    shown = np.clip(DEUTERANOPIA @ linear, 0, 1)
    coded = np.where(shown <= 0.0031308, shown * 12.92, 1.055 * shown ** (1 / 2.4) - 0.055)
    return rgb2lab(coded)


def too_close(colours: list[str]) -> list[str]:
    """Return the pairs that a deuteranope could mistake for each other, with their distance."""
    pairs = itertools.combinations(colours, 2)
    distances = [(float(deltaE_ciede2000(seen(a), seen(b))), a, b) for a, b in pairs]
    return [f"{a} {b} {d:.1f}" for d, a, b in sorted(distances) if d < LEAST_DISTANCE]


def _case(name: str) -> object:
    reason = "colours to be changed with the next run of their notebooks"
    marks = [pytest.mark.xfail(strict=True, reason=reason)] if name in TO_MEND else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_case(name) for name in palettes()])
def test_colours_of_a_palette_can_be_told_apart_by_a_deuteranope(name):
    assert too_close(palettes()[name]) == []


def test_the_palettes_to_mend_exist_and_the_widget_is_none_of_them():
    assert set(palettes()) >= TO_MEND
    assert "clicker.COLOURS" in set(palettes()) - TO_MEND


def test_the_simulation_knows_red_from_blue_but_not_from_green():
    assert too_close(["#d62728", "#2ca02c"]) != []
    assert too_close(["#d62728", "#1f77b4"]) == []
    np.testing.assert_allclose(DEUTERANOPIA.sum(1), 1, atol=1e-3)
