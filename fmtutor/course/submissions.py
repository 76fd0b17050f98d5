"""Find and read what students handed in; nothing of it is run or believed here."""

from dataclasses import dataclass
from pathlib import Path

from fmtutor.course.assignment import Assignment, read_notebook, source_of

FILE_BYTES = 20 * 2**20
LETTERS = 20_000


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One student's notebook, as far as it could be read."""

    student: str
    path: Path
    cells: tuple[str, ...] = ()
    """Sources of the code cells."""
    words: dict[str, str] | None = None
    """Name of a written question to the answer."""
    error: str = ""
    """Why the file could not be read."""


def find_submissions(folder: Path, assignment: str = "") -> list[tuple[str, Path]]:
    """Return (student, file): a notebook is a student, and so is a folder that holds one.

    Args:
        folder: Of notebooks, or of folders.
        assignment: Its name; where nbgrader has collected, a student's folder holds one of this
            name, and that one holds the notebook.

    Raises:
        ValueError: The folder holds no notebook, or a student handed in several.
    """
    if not folder.is_dir():
        raise ValueError(f"submissions must lie in a folder, got {folder}.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # A link could name any file of the lecturer's; a submission has to be there itself.
        if path.is_symlink():
            continue
        inside = [path] if path.suffix == ".ipynb" else []
        if path.is_dir():
            collected = path / assignment
            home = collected if collected.is_dir() and not collected.is_symlink() else path
            inside = sorted(p for p in home.glob("*.ipynb") if not p.is_symlink())
        for notebook in inside:
            student = path.stem if notebook == path else path.name
            if student in found:
                raise ValueError(
                    f"a student must hand in one notebook, {student} has {found[student].name} and "
                    f"{notebook.name}; remove one."
                )
            found[student] = notebook
    if not found:
        raise ValueError(f"there must be notebooks to grade, found none in {folder}.")
    return list(found.items())


def read_submission(student: str, path: Path, assignment: Assignment) -> Submission:
    """Read one notebook; one that cannot be read says why, and raises nothing."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ValueError(f"the file must be smaller than {FILE_BYTES // 2**20} MB.")
        cells = read_notebook(path)["cells"]
        code = tuple(source_of(cell) for cell in cells if cell.get("cell_type") == "code")
        words = written_answers(cells, assignment)
    except (ValueError, OSError, AttributeError, KeyError, TypeError, MemoryError) as error:
        return Submission(student=student, path=path, error=str(error) or type(error).__name__)
    return Submission(student=student, path=path, cells=code, words=words)


def written_answers(cells: list[dict], assignment: Assignment) -> dict[str, str]:
    """Return the answers in words, by the cell's name or, where that was lost, its tag of ours."""
    names = {question.name for question in assignment.questions if question.written}
    found: dict[str, str] = {}
    for cell in cells:
        own, entry = cell["metadata"].get("fmtutor"), cell["metadata"].get("nbgrader")
        for name in (
            own.get("question") if isinstance(own, dict) else None,
            entry.get("grade_id") if isinstance(entry, dict) else None,
        ):
            if isinstance(name, str) and name in names and cell.get("cell_type") == "markdown":
                found.setdefault(name, source_of(cell)[:LETTERS])
    return found
