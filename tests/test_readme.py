"""What the README names exists: targets, commands, files, notebooks, samples, benchmarks."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import tyro

from fmtutor.bench.recipes import RECIPES
from fmtutor.cli import COMMANDS
from fmtutor.cli.train import Train
from fmtutor.data.sample_table import SAMPLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
CODE = re.findall(r"`([^`\n]+)`", PROSE)
MADE_BY_RUNNING = {
    ".venv", ".venv/bin/", "runs/", "runs/train/", "runs/index.html", "results.json",
    "dataset.json", "table.md", "build/book/site/index.html",
}  # fmt: skip
PICTURE_BYTES = 300_000


def _lines(language: str) -> list[str]:
    """Return the commands in blocks of a language, comments and ``&&`` taken apart."""
    texts = [text for kind, text in BLOCKS if kind == language]
    lines = [line.split("  #")[0] for text in texts for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def _rows(first_cell: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with this cell."""
    table = re.search(rf"^\| {first_cell} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert table is not None, first_cell
    rows = table.group(1).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


COMMAND_LINES = [line for line in _lines("sh") if line.startswith("fmtutor ")]
PATHS = {text for text in CODE if re.fullmatch(r"[\w.-]*/[\w./-]*|[\w-]+\.(ya?ml|json|md)", text)}


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_is_understood(line):
    words = shlex.split(line)[1:]
    command = tyro.extras.subcommand_cli_from_dict(COMMANDS, args=words)
    assert not isinstance(command, Train) or command.system in RECIPES


def test_every_command_has_an_example():
    assert {line.split()[1] for line in _lines("sh") if line.startswith("fmtutor ")} == set(
        COMMANDS
    )


def test_every_make_target_exists_and_the_main_ones_are_named():
    named = {word for line in [*_lines("sh"), *CODE] for word in re.findall(r"^make (\w+)", line)}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets
    assert {"run", "test", "lab"} <= named


@pytest.mark.parametrize("path", sorted(PATHS - MADE_BY_RUNNING))
def test_a_path_exists(path):
    assert list(ROOT.glob(path.replace("QUESTION", "*").rstrip("/")))


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_link_leads_to_a_file(target):
    assert (ROOT / target).is_file()


def test_the_notebook_table_is_what_lies_in_notebooks():
    linked = {
        cell.group(1) for row in _rows("notebook") if (cell := re.search(r"\((.+?)\)", row[0]))
    }
    there = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert linked == there


def test_a_notebook_is_either_linked_or_planned():
    states = {row[0]: (row[0].startswith("["), "planned" in row) for row in _rows("notebook")}
    assert [name for name, (linked, planned) in states.items() if linked == planned] == []
    assert [re.search(r"\d\d", name).group() for name in states] == [f"{i:02d}" for i in range(16)]


def test_the_sample_table_gives_each_sample_its_role():
    rows = {row[0]: row[2] for row in _rows("sample")}
    roles = {
        name: "test_only" if role == "test only" else "grows" if "grow" in role else role
        for name, role in rows.items()
    }
    assert roles == {name: sample.role for name, sample in SAMPLES.items()}


def test_every_benchmark_is_listed():
    listed = {row[0].strip("`") for row in _rows("benchmark")}
    assert listed == {
        str(p.relative_to(ROOT))
        for p in ROOT.glob("benchmarks/*/*.py")
        if "argparse" in p.read_text()
    }


def test_the_layout_names_every_part_of_the_package():
    (layout,) = [text for kind, text in BLOCKS if kind == "text"]
    named = {line.split()[0] for line in layout.splitlines()}
    parts = {f"fmtutor/{p.parent.name}" for p in ROOT.glob("fmtutor/*/__init__.py")}
    assert {name for name in named if name.startswith("fmtutor/")} == parts
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_python_examples_import_what_exists():
    imports = [
        line for kind, text in BLOCKS if kind == "python" for line in text.splitlines()
        if line.startswith(("from ", "import "))
    ]  # fmt: skip
    assert imports
    for line in imports:
        exec(line, {})


@pytest.mark.parametrize("module", re.findall(r"python -m ([\w.]+)", README))
def test_a_module_to_run_exists(module):
    assert importlib.util.find_spec(module) is not None


def test_the_picture_is_small():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    assert [p for p in pictures if (ROOT / p).stat().st_size > PICTURE_BYTES] == []


def test_nothing_is_left_to_fill_in():
    assert re.findall(r"\[\[\w+\]\]", README) == []
