"""The layers of the package, kept by import-linter, and the house rules on files."""

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from fmtutor.paradigms import PARADIGMS
from fmtutor.paradigms.adapt import METHODS

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "fmtutor").rglob("*.py"))
LAYERS = ("core", "data", "nets", "losses", "engine", "paradigms", "hub", "bench", "widgets")


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    config = str(ROOT / "pyproject.toml")
    command = f"from importlinter.cli import lint_imports as l; exit(l({config!r}, no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_run_down_only():
    result = _lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("core.low", "fmtutor.engine"),
        ("nets.net", "fmtutor.data"),
        ("paradigms.partial.one", "fmtutor.paradigms.reference.two"),
    ],
    ids=["upwards", "sideways in the kit", "between families"],
)
def test_a_forbidden_import_breaks_a_contract(tmp_path, importer, imported):
    for name in (*LAYERS, "paradigms.partial", "paradigms.reference"):
        folder = tmp_path / "fmtutor" / name.replace(".", "/")
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "fmtutor/__init__.py").touch()
    (tmp_path / "fmtutor/paradigms/reference/two.py").touch()
    clean = _lint_imports(tmp_path)
    (tmp_path / f"fmtutor/{importer.replace('.', '/')}.py").write_text(f"import {imported}\n")
    assert (clean.returncode, _lint_imports(tmp_path).returncode) == (0, 1), clean.stdout


def test_no_paradigm_imports_another():
    graph = grimp.build_graph("fmtutor", cache_dir=None)
    systems = {*PARADIGMS.values(), *METHODS.values()}
    imports = {
        (system, other)
        for system in systems
        for other in systems & graph.find_modules_directly_imported_by(system)
    }
    assert imports == set()


@pytest.mark.parametrize(("constant", "table"), [("CARD", PARADIGMS), ("METHOD", METHODS)])
def test_every_paradigm_file_is_listed(constant, table):
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "fmtutor/paradigms").rglob("*.py")
        if any(_assigns(node, constant) for node in ast.parse(path.read_text()).body)
    }
    assert files == set(table.values())


def test_files_stay_short_enough_to_read():
    long = {str(p.relative_to(ROOT)): n for p in MODULES if (n := _lines(p)) > 300}
    assert long == {}


def test_no_module_has_a_name_that_says_nothing():
    empty_names = {"utils", "util", "helpers", "misc", "common"}
    assert [path for path in MODULES if empty_names & {path.stem, path.parent.name}] == []


def test_every_module_says_what_it_is():
    about = {path: ast.get_docstring(ast.parse(path.read_text())) or "" for path in MODULES}
    assert [path for path, text in about.items() if len(text.partition("\n")[0].split()) < 3] == []


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def test_what_a_notebook_imports_waits_for_no_monai():
    """MONAI takes seconds to import, so it is imported where it is used."""
    names = ("hub.models", "engine.session", "engine.metrics", "bench.recipes")
    imports = ", ".join(f"fmtutor.{name}" for name in names)
    code = f"import sys, {imports}; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
