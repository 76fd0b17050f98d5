"""`make test` runs the notebooks under nbval: a checked output that changed must fail it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


def _notebook(path: Path, *, stored: str) -> None:
    v4 = nbformat.v4
    output = v4.new_output("stream", name="stdout", text=f"{stored}\n")
    code = "# NBVAL_CHECK_OUTPUT\nprint(round(third, 2))"
    cells = [
        v4.new_code_cell("third = 1 / 3", execution_count=1),
        v4.new_code_cell(code, execution_count=2, outputs=[output]),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def _make_test_notebooks(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run the Makefile's own rule on one notebook, with this interpreter, installing nothing."""
    installed = "stamp-of-this-test"
    command = ["make", "-o", installed, "test-notebooks", f"INSTALLED_DEV={installed}"]
    command += [f"BIN={Path(sys.executable).parent}", f"NOTEBOOKS={notebook}", "JOBS=0"]
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("stored", "status"), [("0.33", "ok"), ("0.34", "failed")])
def test_a_changed_checked_output_fails_the_notebook_tests(tmp_path, stored, status):
    _notebook(tmp_path / "00_tiny.ipynb", stored=stored)
    result = _make_test_notebooks(tmp_path / "00_tiny.ipynb")
    assert (result.returncode == 0) == (status == "ok"), result.stdout + result.stderr
    assert ("2 passed" if status == "ok" else "1 failed, 1 passed") in result.stdout
