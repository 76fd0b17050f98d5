"""Files and folders on a command line, and the notebooks that they mean."""

from pathlib import Path

import pytest

from fmtutor.cli.notebook_files import notebook_files


def test_a_folder_means_its_notebooks_and_a_file_itself(tmp_path: Path) -> None:
    for name in ("02_b.ipynb", "00_a.ipynb", "draft.ipynb", "notes.md"):
        (tmp_path / name).touch()
    draft = tmp_path / "draft.ipynb"
    assert [path.stem for path in notebook_files([tmp_path])] == ["00_a", "02_b", "draft"]
    numbered = notebook_files([draft, tmp_path], pattern="[0-9][0-9]_*.ipynb")
    assert [path.stem for path in numbered] == ["draft", "00_a", "02_b"]


def test_what_is_no_notebook_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(ValueError, match=r"must be an \.ipynb file or a folder of .*notes\.md"):
        notebook_files([tmp_path / "notes.md"])
    with pytest.raises(ValueError, match=r"found none in .*; name files"):
        notebook_files([tmp_path])
