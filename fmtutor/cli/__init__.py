"""The command line: one dictionary from a command's name to the dataclass that is its options.

Each command is a frozen dataclass with a string under every field (the help text) and a method
``run() -> int``, the exit status. Commands import torch and MONAI inside ``run``, so that
``fmtutor --help`` stays fast.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

import tyro

from fmtutor.cli.course import Course
from fmtutor.cli.doctor import Doctor
from fmtutor.cli.predict import Predict
from fmtutor.cli.run import Run
from fmtutor.cli.samples import Samples
from fmtutor.cli.table import Table
from fmtutor.cli.train import Train
from fmtutor.cli.weights import Weights

COMMANDS: dict[str, Callable[..., "Command"]] = {
    "doctor": Doctor,
    "samples": Samples,
    "train": Train,
    "predict": Predict,
    "weights": Weights,
    "run": Run,
    "table": Table,
    "course": Course,
}

DESCRIPTION = """Foundation models for medical image segmentation, taught and explored.

For example:
  fmtutor doctor                                 what is here, and what to do first
  fmtutor predict SERIES organs.nii.gz           segment a CT with the shipped model
  fmtutor run notebooks/02_partial_labels.ipynb  execute a notebook, with a report
  fmtutor run NB.ipynb -p seed=0..4 --workers 2  every seed, two at one time
  fmtutor train multitalent --steps 200          train a system; resumes after a stop

Each command explains itself: `fmtutor run --help`. Ctrl-C keeps what is finished.
Tab completion in bash: eval "$(fmtutor --tyro-print-completion bash)" (or zsh, fish).
Add --debug anywhere (or set FMTUTOR_DEBUG=1) to see the traceback of an error."""

USER_ERROR = 2
INTERRUPTED = 130
# By name, as importing the classes would load torch for every command.
EXPECTED = {"SamplesUnavailableError", "NotFiniteError"}


class Command(Protocol):
    """What every entry of `COMMANDS` builds."""

    def run(self) -> int:
        """Do it, and return the exit status."""
        ...


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: The words after ``fmtutor``; None takes them from the process.

    Returns:
        The exit status: 0 done, 1 the command found failures, 2 the user can mend it, 130 stopped.
    """
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words or os.environ.get("FMTUTOR_DEBUG", "0") not in ("", "0")
    words = [word for word in words if word != "--debug"] or ["--help"]
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="fmtutor", description=DESCRIPTION, args=words
        )
        return command.run()
    except SystemExit as stop:  # tyro ends the process for --help and for unknown options
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print(
            "stopped; what was finished is kept, and the same command goes on from there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    except Exception as error:
        if not expected(error):
            raise
        if debug:
            traceback.print_exc()
        print(f"error: {described(error)}", file=sys.stderr)
        return USER_ERROR


def expected(error: Exception) -> bool:
    """Tell whether an error is the user's to mend; any other is a bug and keeps its traceback."""
    return isinstance(error, (ValueError, OSError)) or type(error).__name__ in EXPECTED


def described(error: Exception) -> str:
    """Say an error without its type: what the system calls it, and the file it is about."""
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename is not None else ""
        return f"{error.strerror.lower()}{name}"
    return str(error).strip() or type(error).__name__
