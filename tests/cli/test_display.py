"""What a batch says on a terminal and in a file: a moving line with a clock, or plain lines."""

import io
import time

from fmtutor.bench.notebook_work import Progress, RunRecord
from fmtutor.cli import display
from fmtutor.cli.display import Display


class Terminal(io.StringIO):
    """A text stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def _record(name: str, **values: object) -> RunRecord:
    return RunRecord(name=name, title=name, parameters={}, **{"state": "done", **values})


def test_a_terminal_has_a_line_that_counts_seconds(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(display, "TICK_SECONDS", 0.02)
    with Display() as shown:
        shown.cell(Progress(name="01_a", index=0, total=2, cell=3, cells=9))
        time.sleep(0.3)
        shown.say("done")
    assert "\r\x1b[2K[ 1/2] 01_a  cell 4/9  0 s" in screen.getvalue()
    assert screen.getvalue().rstrip("\r\x1b[2K").endswith("\r\x1b[2Kdone\n")


def test_a_file_gets_one_line_a_notebook_and_one_a_record(capsys):
    with Display() as shown:
        for cell in range(3):
            shown.cell(Progress(name="01_a", index=0, total=1, cell=cell, cells=3))
        assert shown.follow([_record("01_a", seconds=2.0)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[ 1/1] 01_a ..."
    assert lines[1].split() == ["done", "01_a", "2.0", "s", "0", "MB"]
    assert lines[2:] == ["1 of 1 notebooks ran, 2 s"]


def test_a_failure_from_before_the_stop_is_said_to_be_that(capsys):
    records = [_record("01_a", state="failed", error="KeyError: 1", kept=True, seconds=9.0)]
    with Display() as shown:
        assert shown.follow(records, total=1) == 1
    text = capsys.readouterr().out
    assert "before the stop: KeyError: 1" in text
    assert "0 of 1 notebooks ran, 0 s" in text
    assert "the same command now tries these again" in text
