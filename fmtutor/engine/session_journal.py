"""What is told of a session's steps: to the log, to its file, and to whoever watches."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmtutor.engine.prompt_log import PromptLog
from fmtutor.engine.regions_of_interest import Box


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one prompt, undo or redo did."""

    structure: str
    """Whose mask it was about."""
    seconds: float
    """From the prompt to the new mask."""
    box: Box | None
    """The voxels of the case among which the mask changed; None where nothing did."""
    message: str
    """For the person: the volume now, and what to know about it."""


class Journal:
    """Tells every step that is done.

    Args:
        log: Takes each step down.
        autosave: File that the log is written to after each step.
    """

    def __init__(self, log: PromptLog, autosave: str | Path | None = None) -> None:
        self.log, self.autosave = log, autosave
        self._watching: list[Callable[[Step], Any]] = []

    def watch(self, callback: Callable[[Step], Any]) -> Callable[[], None]:
        """Call back after each step; returns what ends that."""
        self._watching.append(callback)

        def end() -> None:
            if callback in self._watching:
                self._watching.remove(callback)

        return end

    def told(self, step: Step, what: str, **values: Any) -> Step:
        """Log a step, save the log, call back; returns the step.

        A watcher that fails is warned about and stops nobody: the step is done.
        """
        self.log.add(what, seconds=step.seconds, **values)
        if self.autosave is not None:
            self.log.save(self.autosave)
        for callback in tuple(self._watching):
            try:
                callback(step)
            except Exception as error:  # whatever a widget does wrong
                warnings.warn(f"a watcher of the session failed: {error!r}", stacklevel=3)
        return step
