"""A finding appears, is reversed, or stays unclear: by the interval over cases."""

import numpy as np
import pandas as pd
import pytest

from fmtutor.bench.few_shot_findings import FINDINGS, Finding, measure, measure_all, rows
from fmtutor.bench.few_shot_grid import cells_of

CLAIM = Finding(
    name="a beats b", claim="", table="fseft-known", better=rows("a"), worse=rows("b"),
    kinds=("swin",),
)  # fmt: skip


def frame(gain: float, *, noise: float = 0.02, rows_of_b: int = 8) -> pd.DataFrame:
    """Two rows, two structures, eight cases, three seeds."""
    rng, records = np.random.default_rng(0), []
    for structure in ("liver", "spleen"):
        for case in range(8):
            for seed in range(3):
                base = 0.5 + 0.03 * case
                for row, value in (("a", base + gain + rng.normal(0, noise)), ("b", base)):
                    if row == "a" or case < rows_of_b:
                        records.append({
                            "table": "fseft-known", "row": row, "preset": "faithful",
                            "kind": "swin", "shots": 5, "seed": seed, "structure": structure,
                            "case": f"c{case}", "where": "test", "dice": value,
                        })  # fmt: skip
    return pd.DataFrame(records)


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.1, "appears"), (-0.1, "reversed"), (0.0, "unclear")]
)
def test_the_verdict_follows_the_interval(gain: float, verdict: str) -> None:
    found = measure(frame(gain), CLAIM, kind="swin", shots=5)
    assert found is not None
    assert found.verdict == verdict
    assert found.low <= found.difference <= found.high
    assert len(found.seeds) == 3
    assert found.structures == 2


def test_only_cases_that_both_have_are_compared() -> None:
    found = measure(frame(0.1, noise=0.0, rows_of_b=3), CLAIM, kind="swin", shots=5)
    assert found is not None
    assert found.difference == pytest.approx(0.1)


def test_real_volumes_and_other_settings_do_not_count() -> None:
    other = frame(0.1)
    other["where"] = "real"
    assert measure(other, CLAIM, kind="swin", shots=5) is None
    assert measure(frame(0.1), CLAIM, kind="unet", shots=5) is None
    assert measure(frame(0.1), CLAIM, kind="swin", shots=10) is None


def test_as_good_as_allows_one_point() -> None:
    lenient = Finding(**{**vars(CLAIM), "at_least": True})
    found = measure(frame(-0.005, noise=0.0), lenient, kind="swin", shots=5)
    assert found is not None
    assert found.verdict == "appears"


def test_every_finding_of_the_talk_is_about_rows_that_run() -> None:
    """A selector that matches no cell of the quick tables would never be measured."""
    records = []
    for table in ("fseft-known", "fseft-novel"):
        for cell in cells_of(table, "quick"):
            records.append({
                "table": table, "row": cell.label, "preset": cell.preset, "kind": cell.kind,
                "shots": cell.shots, "seed": cell.seed, "structure": cell.structure,
                "case": "c", "where": "test", "dice": 0.5,
            })  # fmt: skip
    measured = {one.name for one in measure_all(pd.DataFrame(records))}
    assert measured == {finding.name for finding in FINDINGS}
