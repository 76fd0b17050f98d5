"""Help that teaches: examples that are understood, and a completion that a shell takes."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import tyro

from fmtutor.bench.recipes import RECIPES
from fmtutor.cli import COMMANDS, DESCRIPTION, main
from fmtutor.cli.train import Train

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"^  (fmtutor .+?)   ?\w", DESCRIPTION, re.MULTILINE)
SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_help_is_understood(example):
    words = shlex.split(example)[1:]
    command = tyro.extras.subcommand_cli_from_dict(COMMANDS, args=words)
    assert not isinstance(command, Train) or command.system in RECIPES


def test_the_help_shows_its_examples_on_lines_of_their_own(capsys):
    assert main(["--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert len(EXAMPLES) >= 5
    assert all(any(line.startswith(example) for line in lines) for example in EXAMPLES)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_of_a_shell_names_every_command(shell, capsys):
    assert main(["--tyro-print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "--scheduler" in script


def test_bash_completes_a_command_and_its_options(tmp_path, capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    main(["--tyro-print-completion", "bash"])
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    ask = (
        f". {tmp_path}/completion; f=$(complete -p fmtutor | sed 's/.*-F //; s/ .*//');"
        'COMP_WORDS=(fmtutor run --work); COMP_CWORD=2; COMP_LINE="${COMP_WORDS[*]}";'
        'COMP_POINT=${#COMP_LINE}; $f fmtutor --work run; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", ask], capture_output=True, text=True)
    assert "--workers" in done.stdout, done.stderr


def test_the_commands_that_switch_completion_on_are_documented():
    line = 'eval "$(fmtutor --tyro-print-completion bash)"'
    assert line in DESCRIPTION
    assert line in (ROOT / "README.md").read_text()
