import numpy as np
import pytest

from fmtutor.bench import annotation_context as context
from fmtutor.data.task_bank import bank_of
from fmtutor.data.transforms import normalise
from tests.bench.annotators import ByIntensity, Context
from tests.data.test_task_bank import source


def _images(count: int = 6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    truths = []
    for number in range(count):
        grid = np.indices((16, 16)) - np.array([7 + number % 3, 8])[:, None, None]
        truths.append((grid**2).sum(0) < 20)
    return [np.where(truth, 0.9, 0.1).astype(np.float32) for truth in truths], truths


def _run(start: str, enough: int) -> list[context.Finished]:
    images, truths = _images()
    finish = context.person(ByIntensity(), images, truths, seed=0)
    return context.annotated(start, Context(enough), images, truths, finish)


def test_a_right_first_answer_needs_no_click():
    assert [one.clicks for one in _run("growing", enough=1)] == [0] * 5
    assert all(one.before == 1 for one in _run("fixed", enough=1))


def test_clicks_fall_once_there_are_enough_examples_and_only_where_they_grow():
    growing = [one.clicks for one in _run("growing", enough=3)]
    fixed = [one.clicks for one in _run("fixed", enough=3)]
    assert growing == [1, 1, 0, 0, 0]
    assert fixed == [1] * 5


def test_afresh_the_context_is_never_asked():
    assert [one.clicks for one in _run("afresh", enough=1)] == [1] * 5
    assert all(one.before == 0 for one in _run("afresh", enough=1))


def test_the_clicks_are_spent_where_the_aim_is_never_reached():
    images, truths = _images()
    wrong = [np.roll(truth, 6, axis=1) for truth in truths]
    made = context.person(ByIntensity(), images, wrong, seed=0)(1, None)
    assert made.clicks == context.MOST
    assert made.dice < context.AIM


def test_there_are_three_starts():
    with pytest.raises(ValueError, match="start"):
        _run("warm", enough=1)


def test_an_image_becomes_a_case_and_comes_back_as_it_was():
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    case = context.plane_case(image)
    assert case.image.shape == (8, 8, 1)
    assert np.allclose(normalise(case.image, case.modality)[..., 0], image, atol=1e-5)


def test_a_data_set_has_a_slice_of_each_patient():
    bank = bank_of([source("a", 5)], size=16)
    task = bank.tasks[0]
    images, truths = context.data_set(bank, task, most=9, seed=0)
    assert len(images) == len(truths) == len(np.unique(bank.patient[bank.rows[task]]))
    assert all(truth.any() for truth in truths)
    rows = context.context_rows(Context(1), ByIntensity(), bank, [task], most=3, seeds=[0])
    assert {row["start"] for row in rows} == set(context.STARTS)
    assert len(rows) == 3 * 2
