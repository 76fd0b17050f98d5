"""What mybinder.org builds from, as far as it can be checked without building: files and memory."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from fmtutor.cli import COMMANDS
from tests.environment_files import ENVIRONMENTS, ROOT

BINDER = ROOT / "binder"
# What repo2docker looks for in this folder; of others it would say nothing.
CONFIGURATION = {
    "apt.txt", "environment.yml", "postBuild", "start", "requirements.txt", "runtime.txt",
}  # fmt: skip
SCRIPTS = sorted({"postBuild", "start"} & {path.name for path in BINDER.iterdir()})
LIMIT_GB = 2.0
# JupyterLab's server beside the kernel: 0.09 GB resident before a page is open, measured on Linux.
SERVER_GB = 0.15


def memory_of_notebooks() -> dict[str, float]:
    """Return GB by notebook, as `fmtutor run` measured them, from the README's table."""
    rows = re.findall(
        r"^\| \[[^]]+\]\(notebooks/(\S+)\.ipynb\) \|.*\| ([\d.]+) GB \|",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    return {name: float(gigabytes) for name, gigabytes in rows}


def test_every_file_is_one_that_repo2docker_reads():
    assert {path.name for path in BINDER.iterdir()} <= CONFIGURATION
    assert "binder/environment.yml" in {environment.file for environment in ENVIRONMENTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_executable_for_git_too_and_stops_at_an_error(name):
    path = BINDER / name
    text = path.read_text()
    assert os.access(path, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-s", f"binder/{name}"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout.startswith("100755 ")


def test_the_package_is_installed_without_changing_the_pins():
    lines = (BINDER / "postBuild").read_text().splitlines()
    (install,) = [line for line in lines if "pip install" in line]
    assert "--no-deps" in install
    assert install.endswith("-e .")
    calls = [line.split()[1] for line in lines if line.startswith("fmtutor ")]
    assert calls
    assert set(calls) <= set(COMMANDS)


def test_what_the_build_imports_exists():
    import importlib.util

    imports = re.findall(r'python -c "import ([^";]+?)(?: as \w+)?[";]', _post_build())
    names = [name.strip() for group in imports for name in group.split(",")]
    assert names
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


def test_debian_packages_are_one_name_a_line():
    lines = (BINDER / "apt.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line)] == []


def test_every_notebook_was_measured():
    there = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert set(memory_of_notebooks()) == there


@pytest.mark.parametrize("name", sorted(memory_of_notebooks()))
def test_a_notebook_fits_into_binders_memory_beside_the_server(name):
    assert memory_of_notebooks()[name] + SERVER_GB < LIMIT_GB


@pytest.mark.slow
def test_the_notebook_that_needs_most_still_fits(samples: Path):
    from fmtutor.bench.notebook_kernel import execute

    measured = memory_of_notebooks()
    name = max(measured, key=lambda notebook: measured[notebook])
    execution = execute(ROOT / "notebooks" / f"{name}.ipynb", parameters={}, timeout_s=600.0)
    assert execution.error == ""
    assert execution.peak_bytes / 1e9 + SERVER_GB < LIMIT_GB


def _post_build() -> str:
    return (BINDER / "postBuild").read_text()
