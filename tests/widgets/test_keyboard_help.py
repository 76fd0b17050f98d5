"""The widgets work without a mouse, and say how: in the page, in Python and in the README."""

import inspect
import re
from pathlib import Path

import pytest

from fmtutor.widgets.clicker import annotate

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "fmtutor" / "widgets" / "static"
CLICKER, PLANES, SLICES = (
    (STATIC / f"{name}.js").read_text() for name in ("clicker", "planes", "slices")
)
# What a help text calls a key, and what the browser calls it.
KEYS = {
    "page keys": ("PageUp", "PageDown"),
    "arrow keys": ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"),
    "enter": ('"Enter"',),
    "minus": ('"-"',),
    "b twice": ('"b"',),
    "ctrl z": ('"z"',),
    "ctrl y": ('"y"',),
    "1 to 9": ("[1-9]",),
}


def help_of(source: str) -> str:
    """Return the help text that a widget shows."""
    found = re.search(r"const HELP = (.+?);\n", source, re.DOTALL)
    assert found is not None
    return "".join(re.findall(r'"([^"]*)"', found.group(1)))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_the_help_is_handled(key):
    assert key in help_of(CLICKER)
    assert all(name in CLICKER + PLANES for name in KEYS[key])


@pytest.mark.parametrize("key", ["page keys", "arrow keys"])
def test_the_slice_browser_scrolls_by_keys_and_says_so(key):
    assert key in help_of(SLICES)
    assert all(name in PLANES for name in KEYS[key])


def test_a_plane_takes_the_focus_and_shows_that_it_has_it():
    assert re.search(r"tab-?index", PLANES, re.IGNORECASE)
    assert re.search(r":focus-visible \{ outline: \dpx solid", PLANES)
    assert "aria-label" in PLANES + CLICKER


def test_python_and_the_readme_say_how_to_click_without_a_mouse():
    documented = " ".join(inspect.getdoc(annotate).split())
    for words in ("By keyboard alone", "arrow and page keys", "enter is inside", "ctrl z"):
        assert words in documented
    readme = (ROOT / "README.md").read_text()
    assert "without a mouse" in readme
    assert all(words in readme for words in ("arrow keys", "page keys", "Enter"))
