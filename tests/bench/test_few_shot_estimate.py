"""Estimates: by a rule first, by what was measured as soon as there is something."""

import pytest

from fmtutor.bench.few_shot_estimate import duration, estimate, gpu_gb, rule_seconds
from fmtutor.bench.few_shot_grid import cells_of, setting_of
from tests.bench.few_shot_cells import result_of

CELLS, QUICK = cells_of("fseft-known", "quick"), setting_of("fseft-known", "quick")
PAPER = setting_of("fseft-known", "paper")


def one(label, kind, *, shots=5):
    return next(c for c in CELLS if (c.label, c.kind, c.shots) == (label, kind, shots))


def test_the_rule_orders_methods_by_how_far_gradients_reach():
    probe, bitfit = one("Linear Probe", "swin"), one("BitFit", "swin")
    zero = next(c for c in CELLS if c.method == "zero_shot" and c.kind == "swin")
    seconds = [rule_seconds(cell, QUICK, "quick") for cell in (zero, probe, bitfit)]
    assert seconds == sorted(seconds)
    ten = one("BitFit", "swin", shots=10)
    assert rule_seconds(ten, PAPER, "paper") > 1.5 * rule_seconds(bitfit, PAPER, "paper")
    assert rule_seconds(ten, QUICK, "quick") == rule_seconds(bitfit, QUICK, "quick")


def test_finished_cells_replace_the_assumption():
    before = estimate(CELLS, [], QUICK, profile="quick", workers=2)
    assert (before.todo, before.measured, before.gpu_gb) == (len(CELLS), 0, 0)
    done = one("BitFit", "swin")
    result = {**result_of(done, 0.5), "train_seconds": 98.0, "test_seconds": 2.0}
    after = estimate([done, one("LoRA", "swin")], [result], QUICK, profile="quick", workers=1)
    assert (after.todo, after.measured, after.memory_mb) == (1, 1, 700.5)
    assert after.seconds == pytest.approx(100)
    assert "1 to do; 100 s each (from 1 finished cells)" in after.described()[0]
    assert "assumed, none finished" in before.described()[0]


def test_the_published_protocol_says_its_gpu_memory():
    found = estimate(CELLS, [], PAPER, profile="paper", workers=1)
    full = next(c for c in CELLS if c.label == "full fine-tuning" and c.kind == "swin")
    assert found.gpu_gb == gpu_gb(full, PAPER) == pytest.approx(40, abs=1)
    assert gpu_gb(one("Linear Probe", "unet"), PAPER) < 8
    assert "at most 40 GB a worker" in found.described()[-1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2, "3 s"), (99.0, "99 s"), (600.0, "10 min"), (7200.0, "2.0 h")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text
