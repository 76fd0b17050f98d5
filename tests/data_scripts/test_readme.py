"""The README of ``data_scripts`` lists every script with the licence of its card."""

from pathlib import Path

from fmtutor.data.sources import sources
from tests.data_scripts.layouts import LAYOUTS

README = (Path(__file__).parents[2] / "data_scripts" / "README.md").read_text("utf-8")
ROWS = {
    cells[1].strip(" `"): [cell.strip() for cell in cells]
    for cells in (line.split("|") for line in README.splitlines() if line.startswith("| `"))
}


def test_every_script_has_a_row_with_title_and_licence():
    assert {row.removesuffix(".py") for row in ROWS} == {script for script, _ in LAYOUTS.values()}
    for name, (script, _) in LAYOUTS.items():
        row, card = ROWS[f"{script}.py"], sources()[name].card
        titled = card.title.removeprefix("MSD ") if script == "msd" else card.title
        assert titled in row[2]
        assert card.licence in row[4]
        assert str(card.labelled) in row[3] or name in ("pancreas_ct", "acdc")


def test_rows_say_where_a_person_must_act():
    for name, (script, _) in LAYOUTS.items():
        by_hand = not sources()[name].files
        assert ("by hand" in ROWS[f"{script}.py"][5]) == by_hand, name


def test_files_without_a_checksum_are_named():
    bare = {name for name, of in sources().items() if not all(r.checksum for r in of.files)}
    assert bare == {"kits", "ircadb"}
    assert "KiTS's 600 files and 3D-IRCADb's archive have none" in README
