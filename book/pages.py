"""The pages of the book that are no notebook: the first one, the tables, the package's."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from book.sources import Copied
from fmtutor.bench.few_shot_committed import committed
from fmtutor.bench.few_shot_table import report
from fmtutor.bench.talk_tables import TalkTable, load_table, table_names

OUR_TABLES = {"fseft-known": "known-quick.json", "fseft-novel": "novel-quick.json"}
PICTURE = "Real CT with model-made masks, and virtual patients with the labels of their centres"
INDEX = """# fmtutor

Foundation models for medical image segmentation, running: executable notebooks and the small
package behind them. Each notebook is shown as it ran, on real volumes and on virtual patients
grown from one.

![{picture}](docs/overview.png)

[How to run it, data and licences](README.md) · [the tables](tables/index.md){package}

| notebook | question |
|---|---|
{rows}

```{{toctree}}
:hidden:
:caption: Workbook

How to run it <README>
{notebooks}
```

```{{toctree}}
:hidden:
:caption: Reference

tables/index
{reference}
{guides}
CONTRIBUTING
```
"""


def write_pages(
    source: Path, copied: Copied, guides: Sequence[str], *, root: Path, api: bool
) -> None:
    """Write all generated pages below a source folder.

    Args:
        source: The folder.
        copied: The notebooks in it.
        guides: Further pages in it, for the margin.
        root: The repository.
        api: Whether to write the pages of the package.
    """
    named = {stem: _named(title) for stem, title in copied.titles.items()}
    rows = [_line([f"[{name}](notebooks/{s}.ipynb)", asked]) for s, (name, asked) in named.items()]
    text = INDEX.format(
        picture=PICTURE,
        rows="\n".join(rows),
        notebooks="\n".join(f"{name} <notebooks/{s}>" for s, (name, _) in named.items()),
        package=" · [the package](api/index.md)" if api else "",
        reference="api/index" if api else "",
        guides="\n".join(guides),
    )
    (source / "index.md").write_text(text)
    write_tables(source / "tables", results=root / "benchmarks" / "few_shot" / "results")
    if api:
        write_api(source / "api", package=root / "fmtutor")


def write_tables(target: Path, *, results: Path) -> None:
    """Write a page for each table of the talk, and one for each of ours."""
    target.mkdir(parents=True)
    tables = [load_table(name) for name in table_names()]
    for table in tables:
        (target / f"{table.name}.md").write_text(talk_page(table))
    for name, file in OUR_TABLES.items():
        (target / f"ours-{name}.md").write_text(our_page(name, results / file))
    lines = ["# Tables", "", "The numeric tables of the talk, as printed, with known slips:", ""]
    lines += [f"- [{table.title}]({table.name}.md)" for table in tables]
    lines += ["", "Ours, redrawn from committed result files:", ""]
    lines += [f"- [{name}](ours-{name}.md)" for name in OUR_TABLES]
    pages = [*(table.name for table in tables), *(f"ours-{name}" for name in OUR_TABLES)]
    (target / "index.md").write_text("\n".join(lines) + _hidden(pages))


def talk_page(table: TalkTable) -> str:
    """Return one table of the talk as Markdown."""
    units = {column.unit for column in table.columns if column.kind in ("value", "average")}
    common = units.pop() if len(units) == 1 else ""
    heads = [c.name if c.unit in ("", common) else f"{c.name}, {c.unit}" for c in table.columns]
    lines = [f"# {table.title}", "", f"Slide: {table.slide}. Source: {table.source}", ""]
    lines += [f"Values: {common}.", ""] if common else []
    lines += [_line(heads), _line(["---"] * len(heads))]
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        lines.append(_line([_number(value, column.decimals) for value, column in cells]))
    notes = [f"- {note}" for note in table.notes]
    notes += [
        f"- {', '.join(slip.row)}, {slip.column}: should be {slip.corrected}. {slip.why}"
        for slip in table.slips
    ]
    return "\n".join([*lines, "", *(["## Notes and slips", "", *notes] if notes else [])]) + "\n"


def our_page(name: str, file: Path) -> str:
    """Return one of our tables as Markdown, with how much of it there is."""
    found = committed(file, name)
    head = f"# {name}: ours beside the talk's\n\n{found.told}.\n\n"
    return head + (report(found.results, found.cells) + "\n" if found.results else "")


def write_api(target: Path, *, package: Path) -> None:
    """Write a page for each module, and one for each part of the package that lists them."""
    target.mkdir(parents=True)
    parts = sorted(path for path in package.iterdir() if (path / "__init__.py").exists())
    for part in parts:
        modules = list(_modules(part, package))
        rows = [_line([f"[{name}](m.{name}.rst)", about]) for name, about in modules]
        table = ["| module | what it holds |", "|---|---|", *rows]
        text = f"# fmtutor.{part.name}\n\n{_about(part / '__init__.py')}\n\n"
        (target / f"{part.name}.md").write_text(text + "\n".join(table) + "\n")
        for name, _ in modules:
            (target / f"m.{name}.rst").write_text(_module_page(name, part.name))
    lines = ["# The package", "", "Imports run down only, from `cli` to `core`.", ""]
    lines += [f"- [fmtutor.{p.name}]({p.name}.md): {_about(p / '__init__.py')}" for p in parts]
    (target / "index.md").write_text("\n".join(lines) + _hidden([part.name for part in parts]))


def _modules(part: Path, package: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(part.rglob("*.py")):
        about = _about(path)
        if about:
            dotted = path.relative_to(package.parent).with_suffix("").parts
            yield ".".join(dotted).removesuffix(".__init__"), about


def _about(path: Path) -> str:
    """Return the first line of a module's docstring; empty for a file without one."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def _module_page(name: str, part: str) -> str:
    # Of no table of contents: hundreds of modules would fill every page's margin.
    title = name.removeprefix("fmtutor.")
    return (
        f":orphan:\n\n{title}\n{'=' * len(title)}\n\nPart of :doc:`fmtutor.{part} <{part}>`.\n\n"
        f".. automodule:: {name}\n"
    )


def _named(title: str) -> tuple[str, str]:
    """Take "02 · Partial labels: how do you ...?" apart, into name and question."""
    name, _, question = title.partition(": ")
    return name, question[:1].upper() + question[1:]


def _hidden(pages: Sequence[str]) -> str:
    return "\n\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: object, decimals: int) -> str:
    if value is None:
        return ""
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
