"""Results of few-shot cells made up for tests, in the form that `run_cell` returns."""

from fmtutor.bench.few_shot_grid import Cell, setting_of
from fmtutor.core.configs import to_dict

CASES = ("target-0", "target-1", "target-2", "target-3")


def result_of(cell: Cell, dice: float, *, machine: str = "one", real: bool = False) -> dict:
    """Return a result whose mean Dice over the test cases is ``dice``."""
    around = [dice - 0.03, dice - 0.01, dice + 0.01, dice + 0.03]
    scores = [scored(case, value) for case, value in zip(CASES, around, strict=True)]
    if real:
        scores.append({**scored("abdomen_ct_dicom", dice / 2), "where": "real"})
    return {
        "cell": to_dict(cell),
        "setting": to_dict(setting_of(cell.table, "quick")),
        "scores": scores,
        "parameters": 1000 + cell.seed,
        "head_parameters": 9,
        "decoder_parameters": 0,
        "total_parameters": 60000,
        "steps": 100,
        "stopped": False,
        "train_seconds": 10.0 + cell.seed,
        "test_seconds": 2.0,
        "peak_mb": 700.5,
        "loss": [1 - step / 123 for step in range(100)],
        "base": "few_shot_unet",
        "machine": {"processor": machine},
    }


def scored(case: str, value: float) -> dict:
    """Return the score of one test case."""
    return {
        "case": case, "where": "test", "dice": value + 0.001, "dice_plus_one": value,
        "reference_ml": 120.123456789, "predicted_ml": 100.0,
    }  # fmt: skip
