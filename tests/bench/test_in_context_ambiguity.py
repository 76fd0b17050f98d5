import numpy as np
import pytest
import torch

from fmtutor.bench import in_context_ambiguity as ambiguity
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.ambiguity import AmbiguousSlice
from fmtutor.paradigms import paradigm


def slices(count: int = 10, per_case: int = 2) -> list[ambiguity.Ambiguous]:
    made = []
    for number in range(count):
        rng = rng_of("ambiguous", number)
        answers = np.zeros((2, 16, 16), bool)
        answers[:, 4:12, 4:12] = True
        answers[1, 4:8, 4:8] = False
        image = (answers[0] * 0.6 + rng.uniform(0, 0.2, (16, 16))).astype(np.float32)
        one = AmbiguousSlice(
            image=image, answers=answers, spacing_mm=(3.0, 3.0), organ="liver", axis=2,
            case=f"case{number // per_case}", index=number,
        )  # fmt: skip
        made.append(
            ambiguity.Ambiguous(
                torch.from_numpy(image)[None], torch.from_numpy(answers).float(), one
            )
        )
    return made


@pytest.fixture
def models():
    built = {n: paradigm(n).build(paradigm(n).Config.tiny()).eval() for n in ("universeg", "tyche")}
    return built


@pytest.mark.parametrize(("kind", "with_lesion"), [("with", 8), ("without", 0), ("mixed", 4)])
def test_a_support_follows_the_reading_of_its_kind(kind, with_lesion):
    images, masks = ambiguity.support_of(slices(), kind, rng_of(0))
    assert images.shape == masks.shape == (1, 8, 1, 16, 16)
    assert int(masks[0, :, 0, 5, 5].sum()) == with_lesion


def test_too_small_a_pool_is_refused():
    with pytest.raises(ValueError, match="use more patients"):
        ambiguity.support_of(slices(4), "mixed", rng_of(0))


def test_scores_of_a_set_that_holds_both_answers_are_perfect():
    right = slices(1)[0].answers.numpy() > 0.5
    found = ambiguity.scores(right.astype(float), right)
    assert found["best"] == found["matched_iou"] == 1.0
    assert found["ged"] == pytest.approx(0)
    assert found["diversity"] > 0
    single = ambiguity.scores(right[:1].astype(float), right)
    assert single["best"] < 1.0
    assert single["diversity"] == 0.0


def test_every_system_is_scored_with_every_kind_of_support(models, monkeypatch):
    monkeypatch.setattr(ambiguity, "ambiguous_pool", lambda organ, **options: slices())
    rows, reliable = ambiguity.ambiguity(models, patients=1, draws=1, size=16, most=2)
    assert {row["system"] for row in rows} == {"tyche", "tyche_is", "universeg"}
    assert {row["support_kind"] for row in rows} == set(ambiguity.KINDS)
    assert {row["candidates"] for row in rows if row["system"] == "tyche"} == {8}
    assert {row["system"] for row in reliable} == {"tyche", "tyche_is", "universeg"}
    assert len(rows) == len(ambiguity.ORGANS) * 2 * 3 * 3


def test_patients_of_the_training_are_not_asked_about():
    from fmtutor.bench.in_context_training import InContextRecipe

    assert InContextRecipe(system="tyche", config=None).patients <= ambiguity.FIRST_UNSEEN
