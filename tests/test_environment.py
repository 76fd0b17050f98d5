"""The files a machine is set up from: they agree with each other and name no machine."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.environment_files import ENVIRONMENTS, ROOT, pins, render

CONDA_NAMES = {"pytorch-cpu": "torch", "numpy": "numpy"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Joined here, so that this file does not hold what it looks for.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pytorch", "org/whl"),
        ("conda", "anaconda", "org"),
        ("registry", "npmjs", "org"),
        ("jsdelivr", "net"),
    )
]
MACHINE_PATH = re.compile(
    r"(?<![\w.~$}/:-])/(?:" + "|".join(["work", "root", "home", "tmp"]) + r")/\w"
)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: e.file)
def test_an_environment_file_is_what_make_pins_writes(environment):
    assert (ROOT / environment.file).read_text() == render(environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: e.file)
def test_every_pin_of_an_environment_is_the_tested_one(environment):
    pinned = _pins_of(ROOT / environment.file)
    tested = pins()
    foreign = {canonicalize_name(Requirement(text).name) for text in environment.extra}
    differing = {n: v for n, v in pinned.items() if tested.get(n) != v and n not in foreign}
    assert differing == {}
    assert set(tested) - set(pinned) == set(environment.without)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: e.file)
def test_an_environment_holds_every_dependency_of_the_package(environment):
    pinned = _pins_of(ROOT / environment.file)
    missing = {text for text in PROJECT["dependencies"] if _name(text) not in pinned}
    assert missing == set()


@pytest.mark.parametrize("part", ["package", "dev", "book", "scale"])
def test_the_tested_versions_satisfy_pyproject(part):
    extras = PROJECT["optional-dependencies"]
    texts = PROJECT["dependencies"] if part == "package" else extras[part]
    tested = pins() | pins("development") | pins("book")
    wrong = [t for t in texts if tested.get(_name(t), "none") not in Requirement(t).specifier]
    assert wrong == []


def test_no_package_is_pinned_twice():
    parts = [set(pins(part)) for part in ("package", "development", "book")]
    assert len(set().union(*parts)) == sum(map(len, parts))


def test_what_is_installed_is_what_is_pinned():
    from importlib.metadata import version

    names = [_name(text) for text in PROJECT["dependencies"]]
    installed = {name: version(name).split("+")[0] for name in names}
    assert installed == {name: pins()[name] for name in names}


@pytest.mark.parametrize("script", ["binder/postBuild", ".ci/run"])
def test_a_script_is_executable_and_its_syntax_is_sound(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_no_tracked_file_names_a_registry_host():
    found = [f"{p}: {host}" for p, text in _texts() for host in HOSTS if host in text]
    assert found == []


def test_no_tracked_file_names_a_path_of_a_machine():
    found = [f"{p}: {m.group()}" for p, text in _texts() if (m := MACHINE_PATH.search(text))]
    assert found == []


@pytest.mark.parametrize("path", ["/" + "work/main", "in /" + "root/x", '"/' + 'tmp/a"'])
def test_the_search_for_machine_paths_finds_one(path):
    assert MACHINE_PATH.search(path)


def _pins_of(path: Path) -> dict[str, str]:
    """Name to version in a conda environment file, conda's names brought to pip's."""
    items = yaml.safe_load(path.read_text())["dependencies"]
    conda = [item for item in items if isinstance(item, str) and item.split("=")[0] in CONDA_NAMES]
    pinned = {CONDA_NAMES[item.split("=")[0]]: item.split("=")[1] for item in conda}
    (by_pip,) = [item["pip"] for item in items if isinstance(item, dict)]
    for requirement in map(Requirement, by_pip):
        (exact,) = requirement.specifier
        assert exact.operator == "=="
        pinned[canonicalize_name(requirement.name)] = exact.version
    return pinned


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _texts() -> list[tuple[str, str]]:
    """Path and text of every tracked text file."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [ROOT / name for name in listed.split("\0") if name]
    contents = {path: path.read_bytes() for path in paths if path.is_file()}
    return [
        (str(path.relative_to(ROOT)), content.decode(errors="replace"))
        for path, content in contents.items()
        if b"\0" not in content[:8192]
    ]
