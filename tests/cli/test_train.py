"""`fmtutor train` with a stand-in recipe."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmtutor.cli import main


@dataclass
class Record:
    step: int
    loss: float


@pytest.fixture
def calls(monkeypatch):
    """Replace the recipe by one that counts, and return what it was called with."""
    seen = []

    def train(system, **options):
        seen.append((system, options))
        for step in range(options["steps"] or 3):
            yield Record(step, 1 / (step + 1))

    recipes = {"multitalent": None, "fseft": None}
    stand_in = SimpleNamespace(train=train, RECIPES=recipes, ELSEWHERE=frozenset())
    monkeypatch.setitem(sys.modules, "fmtutor.bench.training", stand_in)
    return seen


def test_the_recipe_gets_what_was_asked(calls, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["train", "multitalent", "--profile", "gpu", "--seed", "4"]
    words += ["--steps", "5", "--every", "2"]
    assert main(words) == 0
    folder = Path("runs/train/multitalent-gpu-4")
    assert calls == [("multitalent", {"profile": "gpu", "folder": folder, "seed": 4, "steps": 5})]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["0", "2", "4"]
    assert lines[0] == "step 0  loss 1"
    assert lines[-1].startswith("done: 5 steps")


def test_the_last_step_is_always_printed(calls, capsys, tmp_path):
    assert main(["train", "fseft", "--out", str(tmp_path), "--every", "2", "--steps", "4"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "0",
        "2",
        "3",
    ]


@pytest.mark.parametrize("words", [["--steps", "0"], ["--every", "0"]])
def test_numbers_that_cannot_be_meant_are_errors(calls, words, capsys):
    assert main(["train", "fseft", *words]) == 2
    assert "must be at least 1" in capsys.readouterr().err
    assert calls == []


def test_never_resuming_refuses_a_folder_with_files(calls, capsys, tmp_path):
    (tmp_path / "checkpoint.pt").touch()
    assert main(["train", "fseft", "--out", str(tmp_path), "--resume", "never"]) == 2
    assert "needs an empty folder" in capsys.readouterr().err
    assert calls == []


def test_a_training_may_begin_from_another(calls, tmp_path):
    words = ["train", "fseft", "--out", str(tmp_path), "--start", "runs/first"]
    assert main(words) == 0
    assert calls[0][1]["start"] == Path("runs/first")


def test_the_paper_profile_takes_datasets_and_what_a_rehearsal_cuts(calls, monkeypatch, tmp_path):
    from fmtutor.bench.rehearsal import Cut

    asked = []

    def train_paper(system, data, **options):
        asked.append((system, data, options))
        yield Record(0, 1.0)

    stand_in = SimpleNamespace(train_paper=train_paper)
    monkeypatch.setitem(sys.modules, "fmtutor.bench.paper_training", stand_in)
    words = ["train", "fseft", "--profile", "paper", "--out", str(tmp_path), "--data", "a", "b"]
    assert main([*words, "--steps", "4", "--width", "12", "--patch", "64", "32", "32"]) == 0
    cut = Cut(steps=4, width=12, patch=(64, 32, 32))
    options = {"folder": tmp_path, "seed": 0, "cut": cut}
    assert asked == [("fseft", (Path("a"), Path("b")), options)]
    monkeypatch.chdir(tmp_path)
    for more, name in ((["--width", "12"], "fseft-paper-0-rehearsal"), ([], "fseft-paper-0")):
        assert main(["train", "fseft", "--profile", "paper", "--data", "a", *more]) == 0
        assert asked[-1][2]["folder"] == Path("runs/train") / name
    assert calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "a"], "--data, --width and --patch are for --profile paper"),
        (["--width", "4"], "leave them out"),
        (["--profile", "paper", "--start", "a"], "--start is for quick and gpu"),
    ],
)
def test_options_of_another_profile_are_refused(calls, words, said, capsys):
    assert main(["train", "fseft", *words]) == 2
    assert said in capsys.readouterr().err
    assert calls == []
