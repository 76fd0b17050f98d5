from collections import Counter

import numpy as np
import pytest

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.data.task_bank import SliceSource, Task, bank_of


def patient(number: int, table: dict[int, str]) -> Case:
    rng = rng_of("patient", number)
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[4:12, 4:12, 2:14] = 1
    labels[14:20, 8:16, 4:12] = 2
    image = rng.normal(0, 20, labels.shape).astype(np.float32) + 100 * labels
    return Case(name=f"p{number}", image=image, affine=np.diag((3.0, 3.0, 3.0, 1.0)),
                labels=labels, table=table)  # fmt: skip


def source(name: str, patients: int, *, regions=None, **options) -> SliceSource:
    table = {1: "liver", 2: "spleen"}
    asked = regions or [Region.of("liver"), Region.of("both", "liver", "spleen")]
    cases = [patient(i, table) for i in range(patients)]
    return SliceSource(name=name, cases=cases, regions=lambda case: asked, **options)


@pytest.fixture(scope="module")
def bank():
    return bank_of([source("many", 6, weight=3.0), source("few", 2)], size=16)


def test_a_task_is_a_source_a_modality_an_axis_and_a_region(bank):
    assert Task("many", "CT", "axial", "both") in bank.tasks
    assert len(bank.tasks) == 2 * 3 * 2
    assert bank.images.shape == bank.labels.shape == (len(bank.patient), 16, 16)


def test_pairs_show_the_region_of_their_protocol(bank):
    rows = bank.rows[Task("many", "CT", "axial", "both")]
    _, whole = bank.pairs(Task("many", "CT", "axial", "both"), rows)
    _, liver = bank.pairs(Task("many", "CT", "axial", "liver"), rows)
    assert bool((whole >= liver).all())
    assert float((whole - liver).sum()) > 0
    assert set(whole.unique().tolist()) == {0.0, 1.0}


def test_rows_of_a_task_show_it(bank):
    for task in bank.tasks:
        _, masks = bank.pairs(task, bank.rows[task])
        assert bool((masks.flatten(1).sum(1) >= 1).all())


def test_different_patients_come_first(bank):
    task = Task("many", "CT", "axial", "liver")
    drawn = bank.draw_rows(task, 6, rng_of(0))
    assert len(set(bank.patient[drawn])) == 6
    assert len(set(bank.draw_rows(task, 12, rng_of(0)))) == 12


def test_a_test_support_has_no_slice_of_the_querys_patient(bank):
    task = Task("many", "CT", "sagittal", "liver")
    for seed in range(20):
        query, *support = bank.draw_test_rows(task, 8, rng_of(seed))
        assert bank.patient[query] not in set(bank.patient[support])


def test_a_support_that_is_too_large_is_refused(bank):
    task = Task("few", "CT", "axial", "liver")
    with pytest.raises(ValueError, match="wanted 40; ask for fewer"):
        bank.draw_test_rows(task, 40, rng_of(0))
    with pytest.raises(ValueError, match="wanted 400; ask for fewer"):
        bank.draw_rows(task, 400, rng_of(0))


def test_sources_are_drawn_by_weight_and_each_lower_level_evenly(bank):
    rng = rng_of("draws")
    drawn = Counter(
        (t.source, t.axis, t.region) for t in (bank.draw_task(rng) for _ in range(2400))
    )
    many = sum(n for (name, *_), n in drawn.items() if name == "many")
    assert 0.70 < many / 2400 < 0.80
    assert all(0.6 * 300 < n < 1.4 * 300 for (name, *_), n in drawn.items() if name == "many")


def test_novel_structures_are_refused_unless_allowed():
    novel = [Region.of(NOVEL_STRUCTURES[0])]
    with pytest.raises(ValueError, match="must not offer novel structures"):
        bank_of([source("bad", 1, regions=novel)], size=16)
    with pytest.raises(ValueError, match="no task is shown"):
        bank_of([source("good", 1, regions=novel, novel_allowed=True)], size=16)
