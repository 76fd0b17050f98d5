"""The page that says of each of the talk's findings whether it appears in our results.

It is made of committed result files alone; `benchmarks/few_shot/findings.py` writes it.
"""

from collections.abc import Sequence

import pandas as pd

from fmtutor.bench.few_shot_committed import Committed
from fmtutor.bench.few_shot_findings import FINDINGS, Finding, Measured, measure
from fmtutor.bench.few_shot_grid import SEEDS

HEAD = """# The talk's findings on few-shot adaptation, measured here

Made by `python benchmarks/few_shot/findings.py` from the files in `results/`; not written by
hand.

A difference is in points of Dice: the rows that should do better minus those that they are compared
with, over the same structures, test cases and seeds of the virtual target centre. The interval is a
bootstrap over test cases (95 %). A finding **appears** where the whole interval lies above zero, is
**reversed** where it lies below, and is **unclear** otherwise; "as well as" allows one point.
*Real* is the same difference on the real DICOM series, one patient: a sign, not a proof. Networks,
data and lengths are small (the quick setting of `fmtutor.bench.few_shot_grid`); what is absent here
may well appear at full size, and the other way round.
"""
COLUMNS = "| backbone | shots | difference | interval | each seed | structures | real | verdict |"
RULE = "|---|---|---|---|---|---|---|---|"
KINDS = {"unet": "U-Net", "swin": "Swin-UNETR"}


def findings_page(tables: Sequence[Committed], findings: Sequence[Finding] = FINDINGS) -> str:
    """Return the page as Markdown.

    Args:
        tables: What is there of each table.
        findings: What is claimed.
    """
    frame = pd.concat([table.frame for table in tables if table.results], ignore_index=True)
    there = [f"- `{table.cells[0].table}`: {table.told}" for table in tables]
    sections = [_section(frame, finding) for finding in findings]
    return "\n".join([HEAD, *there, "", *sections])


def _section(frame: pd.DataFrame, finding: Finding) -> str:
    shots = sorted(int(k) for k in frame.loc[frame["table"] == finding.table, "shots"].unique())
    lines = []
    for kind in finding.kinds:
        for k in shots:
            if found := measure(frame, finding, kind=kind, shots=k):
                real = measure(frame, finding, kind=kind, shots=k, where="real")
                lines.append(_line(found, real))
    if not lines:
        return f"## {finding.name}\n\n{finding.claim}\n\nNo results yet.\n"
    body = "\n".join([COLUMNS, RULE, *lines])
    return f"## {finding.name}\n\n{finding.claim}\n\n{body}\n"


def _line(found: Measured, real: Measured | None) -> str:
    seeds = " ".join(f"{100 * value:+.1f}" for value in found.seeds)
    missing = len(SEEDS) - len(found.seeds)
    cells = (
        KINDS[found.kind], str(found.shots), f"{100 * found.difference:+.1f}",
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
        f"{seeds} ({missing} missing)" if missing else seeds,
        f"{found.structures_for} of {found.structures}",
        f"{100 * real.difference:+.1f}" if real else "—", f"**{found.verdict}**",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
