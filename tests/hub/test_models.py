"""Every shipped model: small, carded, from allowed sources, and able to predict."""

import numpy as np
import pytest
import torch

from fmtutor.bench.in_context_real import VOLUMES
from fmtutor.bench.interactive_questions import VOLUMES as CLICKED_VOLUMES
from fmtutor.bench.selfsup_ship import REAL
from fmtutor.core.ask import Classes
from fmtutor.core.files import sha256_of
from fmtutor.data.anatomy import NOVEL_STRUCTURES, expand
from fmtutor.data.cases import Case
from fmtutor.data.sample_table import check_sources
from fmtutor.hub.models import bare_names, card_of, classes_of, load_shipped, shipped
from fmtutor.paradigms import IN_CONTEXT, INTERACTIVE, SELF_SUPERVISED

NOVEL = {part for name in NOVEL_STRUCTURES for part in expand(name, lesions=True)}
PROMPTED = {name for name in shipped() if card_of(name)["recipe"]["system"] in INTERACTIVE}
ENCODERS = {name for name in shipped() if card_of(name)["recipe"]["system"] in SELF_SUPERVISED}


def test_the_default_model_is_shipped():
    assert card_of()["name"] in shipped()


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match="organs"):
        card_of("organ")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_model_is_small_and_its_card_belongs_to_it(name):
    path, card = shipped()[name], card_of(name)
    assert path.stat().st_size <= 12e6
    assert sha256_of(path) == card["weights_sha256"]
    assert card["steps"] == card["recipe"]["config"]["steps"]
    assert card["limits"]
    assert card["machine"]["packages"]["torch"]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_no_test_only_volume_and_no_novel_structure_went_into_a_shipped_model(name):
    card = card_of(name)
    digests = [digest for source in card["sources"].values() for digest in source]
    assert digests
    check_sources(digests, what=name)
    if name in IN_CONTEXT:
        with pytest.raises(ValueError, match="it answers examples"):
            classes_of(card)
    elif name in PROMPTED:
        with pytest.raises(ValueError, match="it answers clicks and boxes"):
            classes_of(card)
    elif name in ENCODERS:
        with pytest.raises(ValueError, match="segments nothing"):
            classes_of(card)
    else:
        assert classes_of(card)
        assert NOVEL.isdisjoint(bare_names(classes_of(card)))


@pytest.mark.parametrize("name", sorted(IN_CONTEXT & set(shipped())))
def test_a_card_of_examples_reports_real_volumes_and_what_the_support_is_worth(name):
    card = card_of(name)
    assert {row["volume"] for row in card["scores"]} == set(VOLUMES)
    assert {row["way"] for row in card["scores"]} == {"within", "across", "virtual"}
    assert all(row["volume"] != "torso" for row in card["scores"])
    last = card["support_sensitivity"][-1]
    assert last["own"] > last["other"]


@pytest.mark.parametrize("name", sorted(PROMPTED))
def test_a_card_of_clicks_reports_real_volumes_and_unseen_structures_without_an_oracle(name):
    scores = card_of(name)["scores"]
    assert {row["volume"] for row in scores["rows"]} == set(CLICKED_VOLUMES)
    assert {row["seen"] for row in scores["rows"]} == {True, False}
    assert not any(row["oracle"] for row in scores["rows"])
    assert scores["protocol"]["simulator"] == "centre"


@pytest.mark.parametrize("name", sorted(set(shipped()) - IN_CONTEXT - PROMPTED - ENCODERS))
def test_a_card_reports_another_patient_and_marks_seen_anatomy(name):
    scores = card_of(name)["scores"]
    assert scores["abdomen_ct_dicom"]["large"]
    assert scores["torso"]["what"].startswith("SEEN ANATOMY")


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_card_of_an_encoder_reports_its_own_questions_on_unseen_images(name):
    scores = {row["source"]: row for row in card_of(name)["scores"]}
    assert set(scores) == {"target", *REAL}
    assert all(row["rotation"] > row["chance_rotation"] for row in scores.values())
    assert not any("dice" in row for row in scores.values())


def test_the_default_model_answers_on_the_grid_of_an_anisotropic_case():
    rng = np.random.default_rng(0)
    case = Case(
        name="noise", image=rng.normal(0, 50, (40, 36, 10)).astype(np.float32),
        affine=np.diag([2.0, 2.5, 6.0, 1.0]),
    )  # fmt: skip
    model, module, _ = load_shipped()
    prediction = module.predict(model, case, Classes(("liver", "spleen")))
    assert prediction.mask("liver").shape == case.image.shape
    assert not model.training
    assert all(p.dtype == torch.float32 for p in model.parameters())
