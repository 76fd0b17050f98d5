"""Colours that stand side by side in figures and widgets can be told apart without red and green.

Deuteranopia, the most frequent blindness to colours, is simulated in linear RGB; the distance is
CIEDE2000 between the simulated colours.
"""

import ast
import functools
import importlib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

import fmtutor
from fmtutor.core.colours import ON_WHITE

PARTS = ("core", "data", "bench", "widgets")
HEX = re.compile(r"#[0-9a-fA-F]{6}")
# Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009: deuteranopia, severity 1.
DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
])  # fmt: skip
# The closest two of the palette by Okabe and Ito, which was made for this, lie at 11.6.
LEAST_DISTANCE = 10.0
# A line of less contrast with its paper is lost; Okabe and Ito's orange has 2.2, their yellow 1.3.
LEAST_CONTRAST = 2.0
# One of every way in which a module writes down its colours: the search must not lose any.
KNOWN = {
    "core.colours.ON_WHITE": 10,
    "widgets.clicker.COLOURS": 7,
    "bench.figures_annotation.COLOURS": 7,
    "bench.figures_candidates.READING_COLOURS": 2,
    "bench.figures_few_shot_live.ADAPTED": 4,
    "bench.figures_interaction.COLOURS": 8,
    "bench.figures_losses._PUSH": 2,
    "bench.figures_promptable.(INSIDE, OUTSIDE, BOX)": 3,
    "bench.partial_results.COLOURS": 10,
}


@functools.cache
def palettes() -> dict[str, list[str]]:
    """Return the module-level constants that hold two colours or more, by module and name.

    A colour counts wherever it is written down: in the constant's value it is found even if its
    name comes from another module, and in the source even if the value hides it (a colour map).
    """
    found = {}
    for part in PARTS:
        for path in sorted((Path(fmtutor.__file__).parent / part).glob("[!_]*.py")):
            module = importlib.import_module(f"fmtutor.{part}.{path.stem}")
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign):
                    target = ast.unparse(node.targets[0])
                elif isinstance(node, ast.AnnAssign) and node.value is not None:
                    target = ast.unparse(node.target)
                else:
                    continue
                written = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                held = eval(target, vars(module))  # a name, or a tuple of names
                colours = list(dict.fromkeys([*colours_in(written), *colours_in(held)]))
                if len(colours) > 1:
                    found[f"{part}.{path.stem}.{target}"] = colours
    return found


def colours_in(value: object) -> list[str]:
    """Return the colours of a value: its own, or those of what it holds."""
    if isinstance(value, str):
        return [value.lower()] if HEX.fullmatch(value) else []
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list, set, frozenset)):
        return [colour for part in value for colour in colours_in(part)]
    return []


def linear(colour: str) -> np.ndarray:
    """Return the intensities of red, green and blue light of a colour, in [0, 1]."""
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour: str) -> np.ndarray:
    """Return a colour as a deuteranope sees it, in CIELAB."""
    shown = np.clip(DEUTERANOPIA @ linear(colour), 0, 1)
    coded = np.where(shown <= 0.0031308, shown * 12.92, 1.055 * shown ** (1 / 2.4) - 0.055)
    return rgb2lab(coded)


def too_close(colours: list[str]) -> list[str]:
    """Return the pairs that a deuteranope could mistake for each other, with their distance."""
    pairs = itertools.combinations(colours, 2)
    distances = [(float(deltaE_ciede2000(seen(a), seen(b))), a, b) for a, b in pairs]
    return [f"{a} {b} {d:.1f}" for d, a, b in sorted(distances) if d < LEAST_DISTANCE]


@pytest.mark.parametrize("name", palettes())
def test_colours_of_a_palette_can_be_told_apart_by_a_deuteranope(name):
    assert too_close(palettes()[name]) == []


def test_no_palette_is_lost_wherever_its_colours_are_written_down():
    assert {name: len(palettes().get(name, [])) for name in KNOWN} == KNOWN


@pytest.mark.parametrize("colour", ON_WHITE)
def test_a_colour_for_white_paper_is_seen_on_it(colour):
    light = linear(colour) @ [0.2126, 0.7152, 0.0722]  # relative luminance, as WCAG 2 defines it
    assert 1.05 / (light + 0.05) >= LEAST_CONTRAST


def test_the_simulation_knows_red_from_blue_but_not_from_green():
    assert too_close(["#d62728", "#2ca02c"]) != []
    assert too_close(["#d62728", "#1f77b4"]) == []
    np.testing.assert_allclose(DEUTERANOPIA.sum(1), 1, atol=1e-3)
