"""Every slide of the talk leads to a cell of a notebook, or says which notebook is to come.

The talk is not in this repository. Where its text is at hand, name the file in FMTUTOR_TALK, and
the map is compared with it slide by slide.
"""

import csv
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
with open(ROOT / "docs" / "course" / "slides.csv", newline="") as file:
    ROWS = list(csv.DictReader(file))
TALK = os.environ.get("FMTUTOR_TALK")
NUMBER = re.compile(r"\d\d")


def told(text):
    """Text without differences of spacing, so that a broken line is found again."""
    return re.sub(r"\s*/\s*", "/", re.sub(r"[\s*]+", " ", text)).strip().lower()


def slides(text, titles):
    """Cut the talk at its titles; what stands before the first is no slide."""
    found, title = [], None
    for line in text.splitlines():
        if told(line) in titles:
            title = told(line)
            found.append([title, ""])
        elif title is not None:
            found[-1][1] += " " + line
    return [(title, told(body)) for title, body in found]


def fits(row, title, body):
    parts = (told(row["subtitle"]), told(row["detail"]))
    return told(row["title"]) == title and all(part in body for part in parts)


def test_no_slide_stands_twice():
    keys = [(row["title"], row["subtitle"], row["detail"]) for row in ROWS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['subtitle']}/{r['detail']}")
def test_a_slide_leads_to_a_cell_or_says_what_is_to_come(row):
    if not row["cell"]:
        assert NUMBER.fullmatch(row["notebook"]) or row["notebook"] == ""
        assert row["note"].startswith("to come" if row["notebook"] else "in the card")
        if there := list(NOTEBOOKS.glob(f"{row['notebook']}_*.ipynb")) if row["notebook"] else []:
            pytest.skip(f"{there[0].name} has come: name its cell in docs/course/slides.csv")
        return
    notebook = json.loads((NOTEBOOKS / f"{row['notebook']}.ipynb").read_text())
    assert row["cell"] in {cell["id"] for cell in notebook["cells"]}


@pytest.mark.skipif(TALK is None, reason="FMTUTOR_TALK does not name the text of the talk")
def test_every_slide_of_the_talk_is_in_the_map_and_every_row_is_a_slide():
    cut = slides(Path(TALK).read_text(), {told(row["title"]) for row in ROWS})
    lost = [(t, b[:80]) for t, b in cut if not any(fits(row, t, b) for row in ROWS)]
    assert lost == []
    unused = [row for row in ROWS if not any(fits(row, t, b) for t, b in cut)]
    assert unused == []
    assert len(cut) > 80
    # A row without a subtitle would cover every slide of its title.
    whole = {told(row["title"]) for row in ROWS if not row["subtitle"]}
    assert whole == {told("Foundation models for medical image segmentation"), "references"}


@pytest.mark.skipif(TALK is None, reason="FMTUTOR_TALK does not name the text of the talk")
def test_every_claim_that_the_talk_marks_with_an_arrow_has_a_row_of_its_own():
    claims = [told(line[1:]) for line in Path(TALK).read_text().splitlines() if line[:1] == "→"]
    details = [told(row["detail"]).removeprefix("→ ") for row in ROWS if row["detail"]]
    lost = {claim for claim in claims if not any(detail in claim for detail in details)}
    assert lost == set()
    assert len(set(claims)) > 9
