"""One HTML page of a batch: what ran, how long, in how much memory, every figure, every failure.

The page has no scripts and asks for nothing from elsewhere: its folder can be archived, moved or
opened from a cluster's disk. Figures are files beside it, loaded as they come into view, so that
a batch of hundreds of runs remains one page.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import nbformat
from nbconvert.filters import ansi2html
from nbformat import NotebookNode

from fmtutor.bench.notebook_cleaning import scrubbed
from fmtutor.bench.notebook_work import RunRecord
from fmtutor.bench.report_figures import write_figures
from fmtutor.core.files import write_text

REPORT_FILE = "index.html"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="lead">{lead}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""
HEADINGS = (
    "<tr><th>Notebook</th><th>State</th><th>Time per cell</th>"
    '<th class="number">Time</th><th class="number">Peak memory</th></tr>'
)


def write_report(records: Sequence[RunRecord], out: Path) -> Path:
    """Write ``index.html`` and ``figures/`` from the records and executed notebooks in ``out``.

    Returns:
        The path of the page.
    """
    path = out / REPORT_FILE
    write_text(path, html_of(records, out))
    return path


def html_of(records: Sequence[RunRecord], out: Path) -> str:
    """Return the page as text; the figures that it shows are written below ``out``."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    sections = [_section(record, out) for record in records]
    body = "\n".join([_table(records), *sections])
    return PAGE.format(title="Notebook run", style=style, lead=_lead(records), body=body)


def duration(seconds: float) -> str:
    """Write a duration for a reader.

    Example:
        >>> duration(7.25), duration(95), duration(7380)
        ('7.2 s', '1 min 35 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )


def _lead(records: Sequence[RunRecord]) -> str:
    failed = sum(record.state == "failed" for record in records)
    kept = [record for record in records if record.kept]
    parts = [
        f"{len(records)} run{'s' * (len(records) != 1)}, {failed or 'none'} failed",
        f"{duration(sum(record.seconds for record in records if not record.kept))} in this batch",
    ]
    if kept:
        parts.append(f"{len(kept)} kept from before")
    last = max(record.finished for record in records).replace("T", " ")
    return escape("; ".join(parts) + (f". Finished {last[:16]} UTC." if last else "."))


def _table(records: Sequence[RunRecord]) -> str:
    total = duration(sum(record.seconds for record in records))
    peak = max(record.peak_mb for record in records)
    rows = "\n".join(_row(record) for record in records)
    foot = '<td colspan="3">Sum of times, largest memory</td>'
    foot += f'<td class="number">{total}</td><td class="number">{peak:,.0f} MB</td>'
    return (
        f'<div class="scroll"><table>\n<thead>{HEADINGS}</thead>\n<tbody>\n{rows}\n</tbody>\n'
        f"<tfoot><tr>{foot}</tr></tfoot>\n</table></div>"
    )


def _row(record: RunRecord) -> str:
    name = escape(record.name)
    error = f"<small>{escape(record.error)}</small>" if record.error else ""
    about = f"<small>{name}</small><small>{escape(_given(record))}</small>"
    return (
        f'<tr><td><a href="#{name}">{escape(record.title)}</a>{about}{error}</td>'
        f'<td><span class="state {record.state}">{record.state}</span></td>'
        f"<td>{_strip(record)}</td>"
        f'<td class="number">{duration(record.seconds)}</td>'
        f'<td class="number">{record.peak_mb:,.0f} MB</td></tr>'
    )


def _strip(record: RunRecord) -> str:
    """Draw the seconds of the code cells side by side, so that the slow one is seen."""
    if not sum(record.cell_seconds):
        return ""
    cells = [
        f'<i style="flex:{seconds:.3f}" title="code cell {number}: {duration(seconds)}"></i>'
        for number, seconds in enumerate(record.cell_seconds, start=1)
    ]
    return f'<div class="strip">{"".join(cells)}</div>'


def _given(record: RunRecord) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in record.parameters.items())


def _section(record: RunRecord, out: Path) -> str:
    name = escape(record.name)
    facts = [
        duration(record.seconds),
        f"{record.peak_mb:,.0f} MB",
        _given(record) or "no parameters",
    ]
    parts = [f'<section id="{name}">\n<h2>{escape(record.title)}</h2>']
    if record.traceback:
        parts.append(f'<p class="facts">{escape(" · ".join(facts))}</p>')
        parts.append(f'<div class="failure">\n<p>{escape(record.error)}</p>')
        parts.append(f"<pre>{escape(scrubbed(record.traceback))}</pre>\n</div>\n</section>")
        return "\n".join(parts)
    notebook = nbformat.read(out / f"{record.name}.ipynb", 4)
    link = f'<a href="{name}.ipynb">{name}.ipynb</a>'
    parts.append(f'<p class="facts">{escape(" · ".join(facts))} · {link}</p>')
    if record.error:
        parts.append(_failure(record, notebook))
    shown = write_figures(notebook, out, name=record.name)
    for number, (address, about) in enumerate(shown, start=1):
        text = escape(about or f"Figure {number}")
        picture = f'<img loading="lazy" alt="{text}" src="{escape(address)}">'
        parts.append(f"<figure><figcaption>{text}</figcaption>{picture}</figure>")
    return "\n".join([*parts, "</section>"])


def _failure(record: RunRecord, notebook: NotebookNode) -> str:
    """Show what stopped a notebook: the cell and its traceback, if a cell raised."""
    shown = [f'<div class="failure">\n<p>{escape(record.error)}</p>']
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                shown.append(f"<pre>{escape(cell.source)}</pre>")
                shown.append(f"<pre>{ansi2html(chr(10).join(output.traceback))}</pre>")
    return "\n".join([*shown, "</div>"])
