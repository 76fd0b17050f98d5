"""`fmtutor course`: release assignments, check them before handing in, grade, and report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fmtutor.cli.display import Display
from fmtutor.cli.notebook_files import notebook_files

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True, kw_only=True)
class Release:
    """Write the students' notebooks: solutions, hidden cases and rubrics taken out."""

    sources: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Instructors' notebooks, or folders of them; none means notebooks/assignments here."""
    out: Path = Path("released")
    """Folder of the students' notebooks."""

    def run(self) -> int:
        """Write each, and name it."""
        from fmtutor.course.release import release

        for source in notebook_files(self.sources or (Path("notebooks/assignments"),)):
            print(release(source, self.out))
        return 0


@dataclass(frozen=True, kw_only=True)
class Validate:
    """Run a notebook's visible checks before handing in; status 1 if one fails."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Students' notebooks, or folders of them."""
    cell_seconds: int = 60
    """Seconds one cell may take."""

    def run(self) -> int:
        """Print a line for every check that fails, and what is still to be written."""
        from fmtutor.course.validation import validate

        failing = 0
        for source in notebook_files(self.sources):
            with Display() as display:
                display.step(f"{source.name}: running its cells")
                found = validate(source, cell_seconds=self.cell_seconds)
            failing += len(found.failing())
            passed = len(found.cells) - len(found.failing())
            print(f"{source.name}: {passed} of {len(found.cells)} cells pass")
            for cell in found.failing():
                name = cell.question or f"code cell {cell.number + 1}"
                said = "still to be written" if cell.state == "missing" else cell.reason
                print(f"  {cell.state:7s}  {name}: {said}")
            for name in found.changed:
                print(
                    f"  changed  {name}: edited or deleted since the release; grading uses its own"
                )
        return 1 if failing else 0


@dataclass(frozen=True, kw_only=True)
class Grade:
    """Grade a folder of submissions against hidden cases drawn from your secret.

    Each answer runs in a process of its own, without network, solutions and expected values, as far
    as this system can shut them off; docs/course/grading.md says what that is worth.
    """

    assignment: tyro.conf.Positional[Path]
    """The instructor's notebook."""
    submissions: tyro.conf.Positional[Path]
    """Folder of notebooks, or of one folder a student."""
    secret: Path
    """Text file of at least 8 letters, yours alone; another secret draws other cases."""
    out: Path = Path("graded")
    """Folder of results, feedback, grades.csv, manual.csv and index.html; one an assignment."""
    workers: int = 2
    """Submissions at one time."""
    accept_weak_isolation: Flag = False
    """Grade where the system cannot shut files off; do so in a container only."""

    def run(self) -> int:
        """Print a line a student; status 1 only if grading itself failed for one."""
        from fmtutor.course.assignment import read_assignment
        from fmtutor.course.grading import GRADING_FAILED, grade_folder
        from fmtutor.course.hidden_cases import draw_cases, read_secret
        from fmtutor.course.report import keep_result, require_one_assignment, write_report

        assignment = read_assignment(self.assignment)
        require_one_assignment(self.out, assignment.name)
        with Display() as display:
            display.step("drawing hidden cases and solving them")
            cases = draw_cases(assignment, read_secret(self.secret))
        graded = grade_folder(
            assignment,
            cases,
            self.submissions,
            workers=self.workers,
            accept_weak_isolation=self.accept_weak_isolation,
        )
        shut: set[str] | None = None
        failed = False
        for result in graded:
            keep_result(result, self.out)
            said = f"{result.points():g} of {result.maximum():g}  {result.error}".rstrip()
            print(f"{result.student}: {said}", flush=True)
            failed |= result.error.startswith(GRADING_FAILED)
            if not result.error:
                shut = set(result.isolation) if shut is None else shut & set(result.isolation)
        write_report(self.out)
        for name in sorted({"files", "network", "processes"} - (shut or set())):
            print(f"note: {name} could not be shut off here; see docs/course/grading.md")
        print(f"report: {self.out / 'index.html'}")
        return int(failed)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the grade book again, with the marks that stand in manual.csv."""

    out: tyro.conf.Positional[Path] = Path("graded")
    """Folder that `fmtutor course grade` wrote."""

    def run(self) -> int:
        """Print a line a student, and what is still to be marked."""
        from fmtutor.course.report import write_report

        results = write_report(self.out)
        for result in results:
            print(f"{result['student']}: {result['points']:g} of {result['maximum']:g}")
        waiting = [q["points"] for r in results for q in r["questions"]].count(None)
        print(f"{waiting} written answers wait for a mark in {self.out / 'manual.csv'}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Course:
    """Release assignments, check a notebook before handing in, grade submissions, report."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Release, tyro.conf.subcommand("release")]
        | Annotated[Validate, tyro.conf.subcommand("validate")]
        | Annotated[Grade, tyro.conf.subcommand("grade")]
        | Annotated[Report, tyro.conf.subcommand("report")]
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()
