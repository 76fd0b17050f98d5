"""Progress of a batch on the terminal: a line that moves where there is one, else plain lines."""

import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmtutor.bench.notebook_work import Progress, RunRecord

TICK_SECONDS = 1.0


class Display:
    """What a batch says while it runs; the moving line counts seconds, so that it is never still.

    Lines that stay come from the batch alone. Use it as a context manager: the clock stops at its
    end.
    """

    def __init__(self) -> None:
        self._moving = sys.stdout.isatty()
        self._started = ""
        self._text = ""
        self._since = time.monotonic()
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Display":
        if self._moving:
            self._clock.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._moving:
            self._clock.join()
        self.step("")

    def step(self, text: str, *, plain: bool = False) -> None:
        """Say what is going on now; `plain` says it where no line can move, too."""
        with self._turn:
            self._text, self._since = text, time.monotonic()
            if self._moving:
                self._draw()
            elif plain:
                print(f"{text} ...", flush=True)

    def cell(self, progress: "Progress") -> None:
        """Show the cell that starts."""
        head = f"[{progress.index + 1:2d}/{progress.total}] {progress.name}"
        if self._moving:
            self.step(f"{head}  cell {progress.cell + 1}/{progress.cells}")
        elif self._started != progress.name:
            self.step(head, plain=True)
        self._started = progress.name

    def follow(
        self,
        records: Iterable["RunRecord"],
        into: "list[RunRecord] | None" = None,
        *,
        total: int | None = None,
    ) -> int:
        """Print a line for each record, then the sum; return 1 if one failed.

        Args:
            records: As they come.
            into: Gets them, for whoever is left with them after a stop.
            total: How many will come, where workers elsewhere tell of no cells.
        """
        all_records = [] if into is None else into
        if total is not None:
            self.step(f"0 of {total} runs ended")
        for record in records:
            all_records.append(record)
            self._line(record)
            if total is not None:
                self.step(f"{len(all_records)} of {total} runs ended")
        return self._sum(all_records)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        with self._turn:
            self._text = ""
            self._draw()
            print(line, flush=True)

    def _line(self, record: "RunRecord") -> None:
        numbers = f"{record.seconds:7.1f} s {record.peak_mb:7.0f} MB"
        self.say(f"{record.state:8s} {record.name:36s} {numbers}")
        if record.error:
            before = "before the stop: " if record.kept else ""
            self.say(f"         {before}{record.error}")

    def _sum(self, records: "list[RunRecord]") -> int:
        failed = [record for record in records if record.state == "failed"]
        seconds = sum(record.seconds for record in records if not record.kept)
        self.say(f"{len(records) - len(failed)} of {len(records)} notebooks ran, {seconds:.0f} s")
        if failed:
            self.say(f"failed: {', '.join(record.name for record in failed)}")
        if any(record.kept for record in failed):
            self.say("the same command now tries these again, as this batch has ended")
        return int(bool(failed))

    def _tick(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            with self._turn:
                self._draw()

    def _draw(self) -> None:
        """Draw the moving line anew; nothing where lines cannot move."""
        if not self._moving:
            return
        seconds = time.monotonic() - self._since
        clock = f"  {seconds:.0f} s" if self._text and seconds >= TICK_SECONDS else ""
        print(f"\r\x1b[2K{self._text}{clock}", end="", flush=True)
