"""The command line as a user meets it: help, errors, exit status."""

import subprocess
import sys

import pytest

from fmtutor.cli import COMMANDS, main


def test_help_names_every_command_and_loads_neither_torch_nor_monai():
    code = (
        "import sys; from fmtutor.cli import main; status = main(['--help']);"
        "assert status == 0, status; assert not {'torch', 'monai', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    assert name in capsys.readouterr().out


def test_an_error_from_below_is_one_line_and_status_2(capsys, monkeypatch):
    monkeypatch.delenv("FMTUTOR_DEBUG", raising=False)
    assert main(["train", "multitalnet"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: unknown recipe 'multitalnet'; did you mean multitalent?")
    assert "Traceback" not in shown.err


def test_a_missing_file_is_named(capsys, tmp_path):
    assert main(["predict", str(tmp_path / "no.nii"), str(tmp_path / "out.nii")]) == 2
    assert capsys.readouterr().err == f"error: no such file or directory: {tmp_path / 'no.nii'}\n"


def test_debug_adds_the_traceback(capsys):
    assert main(["train", "nope", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_option_is_status_2():
    assert main(["doctor", "--nonsense"]) == 2


def test_a_bug_keeps_its_traceback(monkeypatch):
    def broken(self):
        raise KeyError("a bug")

    monkeypatch.setattr(COMMANDS["doctor"], "run", broken)
    with pytest.raises(KeyError, match="a bug"):
        main(["doctor"])


def test_an_interrupt_is_status_130(monkeypatch, capsys):
    def stopped(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS["doctor"], "run", stopped)
    assert main(["doctor"]) == 130
    assert "goes on from there" in capsys.readouterr().err
