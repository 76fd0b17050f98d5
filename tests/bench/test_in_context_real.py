import numpy as np
import pytest

from fmtutor.bench import in_context_real as real
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.sample_table import SAMPLES
from tests.bench.test_in_context_scores import Bright
from tests.data.test_task_bank import patient

TABLE = {1: "liver", 2: "spleen"}


def test_every_volume_is_test_only_and_says_what_no_training_saw():
    assert all(SAMPLES[name].role == "test_only" for name in real.VOLUMES)
    assert set(NOVEL_STRUCTURES) < real.UNTRAINED
    assert "liver" not in real.UNTRAINED


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(real, "VOLUMES", {"volume": ("liver", "spleen", "heart")})
    monkeypatch.setattr(real, "load_sample", lambda name: patient(len(name), TABLE))
    monkeypatch.setattr(
        real, "VirtualSource", lambda centre, count: [patient(i, TABLE) for i in range(count)]
    )
    return real.real_rows({"bright": Bright()}, size=16)


def test_each_way_of_asking_is_scored_and_absent_structures_are_left_out(rows):
    assert {row["structure"] for row in rows} == {"liver", "spleen"}
    assert {row["way"] for row in rows} >= {"within", "virtual"}
    assert {row["system"] for row in rows} == {"bright", "nearest_copy"}
    assert all(0 <= row["dice"] <= 1 and row["ml"] > 0 for row in rows)


def test_within_a_volume_the_shown_slices_are_not_asked(rows):
    within = next(r for r in rows if r["way"] == "within" and r["structure"] == "liver")
    shown = len(np.unique(patient(6, TABLE).labels.any((0, 1)).nonzero()[0]))
    assert within["support"] == 5
    assert within["slices"] == shown - 5
