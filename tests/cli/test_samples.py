"""`fmtutor samples` without a network: listing, and reading the user's own archive folder."""

import pytest

from fmtutor.cli import main
from fmtutor.data import samples
from fmtutor.data.sample_table import SAMPLES


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path / "cache"))


def test_the_list_shows_each_sample_and_fetches_nothing(capsys, tmp_path):
    assert main(["samples", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "absent"] for name in SAMPLES]
    assert not (tmp_path / "cache").exists()


def test_fetching_prints_where_each_one_lies(capsys, tmp_path, monkeypatch):
    asked = []

    def fetch(source=None, *, names=None):
        asked.append((source, list(names)))
        return [tmp_path / name for name in names]

    monkeypatch.setattr(samples, "fetch_samples", fetch)
    assert main(["samples", "torso", "abdomen_mr"]) == 0
    assert asked == [(None, ["torso"]), (None, ["abdomen_mr"])]
    assert capsys.readouterr().out.splitlines()[1].split() == ["torso", str(tmp_path / "torso")]


def test_a_source_without_the_archive_is_one_clear_error(capsys, tmp_path):
    assert main(["samples", "--from", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unknown_sample_is_an_error_before_any_fetch(capsys):
    assert main(["samples", "torsi"]) == 2
    assert "did you mean torso?" in capsys.readouterr().err
