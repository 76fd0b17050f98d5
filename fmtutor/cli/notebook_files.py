"""The notebooks that a command line names: files, and folders of them."""

from collections.abc import Sequence
from pathlib import Path


def notebook_files(paths: Sequence[Path], *, pattern: str = "*.ipynb") -> list[Path]:
    """Return the notebooks meant by files and folders, those of a folder in the order of names.

    Args:
        paths: Notebooks, or folders.
        pattern: What a folder's notebooks are called.

    Raises:
        ValueError: There is none, or a path is no notebook.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob(pattern))
        elif path.suffix == ".ipynb" and path.is_file():
            found.append(path)
        else:
            raise ValueError(
                f"a notebook must be an .ipynb file or a folder of {pattern}, got {path}."
            )
    if not found:
        names = ", ".join(map(str, paths))
        raise ValueError(f"there must be a notebook {pattern}, found none in {names}; name files.")
    return found
