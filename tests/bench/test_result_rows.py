"""One reader of result files."""

import pytest

from fmtutor.bench.result_rows import rows_frame
from fmtutor.core.files import write_json

COLUMNS = {"dice": ("case", "dice")}


def read(folder, name="dice"):
    return rows_frame(folder, name, COLUMNS, what="result", command="make it")


def test_rows_come_as_they_were_written(tmp_path):
    write_json(tmp_path / "dice.json", {"rows": [{"case": "a", "dice": 0.5, "more": 1}]})
    assert read(tmp_path).to_dict("records") == [{"case": "a", "dice": 0.5, "more": 1}]


def test_a_missing_file_is_an_empty_table_with_its_columns(tmp_path):
    assert read(tmp_path).empty
    assert list(read(tmp_path)) == ["case", "dice"]


def test_a_lacking_column_and_an_unknown_name_are_told(tmp_path):
    write_json(tmp_path / "dice.json", {"rows": [{"case": "a"}]})
    with pytest.raises(ValueError, match=r"lacks \['dice'\]; make it"):
        read(tmp_path)
    with pytest.raises(ValueError, match="result"):
        read(tmp_path, "dise")
