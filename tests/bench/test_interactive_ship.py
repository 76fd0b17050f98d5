"""A tiny training folder becomes shipped weights that load, with a card that says all."""

import json

import numpy as np
import pytest
import torch

from fmtutor.bench import interactive_questions as asking
from fmtutor.bench import interactive_ship as shipping
from fmtutor.bench import ship as storing
from fmtutor.bench.interactive_training import InteractiveRecipe, described
from fmtutor.bench.training import RECIPE_FILE, WEIGHTS_FILE
from fmtutor.core.files import write_json
from fmtutor.data.cases import Case
from fmtutor.data.natural_pictures import PICTURES
from fmtutor.data.sample_table import source_sha256s
from fmtutor.engine.checkpoint import save_weights
from fmtutor.hub import models
from fmtutor.paradigms import paradigm
from tests.bench.test_interactive_scores import patient


@pytest.fixture
def shipped_at(tmp_path, monkeypatch):
    """Ship a tiny network of a system into a folder of its own, scored on a made-up patient."""
    weights = tmp_path / "weights"
    weights.mkdir()
    for module in (models, storing):
        monkeypatch.setattr(module, "weights_folder", lambda: weights)
    monkeypatch.setattr(asking, "virtual_case", lambda centre, index: patient(f"p{index}"))
    models.load_shipped.cache_clear()

    def ship(system: str, name: str, **changes) -> dict:
        module, folder = paradigm(system), tmp_path / system
        folder.mkdir()
        torch.manual_seed(0)
        model = module.build(module.Config.tiny())
        recipe = InteractiveRecipe(system=system, config=model.config)
        write_json(folder / RECIPE_FILE, described(recipe, 3))
        save_weights(model, folder / WEIGHTS_FILE)
        record = {"step": 0, "loss": 1.0, "seconds": 0.25}
        (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
        shipping.ship(folder, name, volumes=("target",), **changes)
        return models.card_of(name)

    yield ship
    models.load_shipped.cache_clear()


@pytest.mark.parametrize("system", ["sam_med3d", "early_prompt"])
def test_a_shipped_3d_network_loads_and_its_card_has_dice_after_clicks(shipped_at, system):
    card = shipped_at(system, system)
    model, module, _ = models.load_shipped(system)
    assert module is paradigm(system)
    assert model.config == module.Config.tiny()  # nested dataclasses and tuples come back
    rows = card["scores"]["rows"]
    assert {(row["structure"], row["seen"]) for row in rows} == {
        ("liver", True),
        ("hip_left", False),
    }
    for row in rows:
        assert {"dice_1", "dice_3", "dice_5", "dice_10"} <= set(row)
        assert (row["roi"], row["oracle"]) == ("auto_zoom", False)
    assert card["seed"] == 3
    assert (card["steps"], card["training_seconds"]) == (1, 0.2)
    assert card["sources"]["torso"] == source_sha256s("torso")
    assert any("ONE real torso" in limit for limit in card["limits"])
    with pytest.raises(ValueError, match="it answers clicks and boxes"):
        models.classes_of(card)


def test_the_general_network_says_that_it_saw_no_medicine(shipped_at):
    card = shipped_at("sam", "sam_base", structures=("liver",))
    assert card["name"] == "sam_base"
    assert card["sources"] == {"pictures": [p.sha256 for p in PICTURES.values()]}
    assert "never saw a medical image" in card["limits"][0]
    (row,) = card["scores"]["rows"]
    assert row["slices"] == 10
    assert {"dice_1", "dice_3", "dice_5", "dice_box"} <= set(row)
    assert models.load_shipped("sam_base")[1] is paradigm("sam")


def test_what_is_scored_is_what_is_stored(shipped_at):
    shipped_at("sam_med3d", "sam_med3d", structures=("liver",))
    model = models.load_shipped("sam_med3d")[0]
    for value in model.state_dict().values():
        if value.is_floating_point():
            torch.testing.assert_close(value, value.half().float(), rtol=0, atol=0)


def test_a_shipped_network_answers_a_click_on_the_grid_of_an_anisotropic_case(shipped_at):
    from fmtutor.core.ask import Clicks

    shipped_at("early_prompt", "early_prompt", structures=("liver",))
    model, module, _ = models.load_shipped("early_prompt")
    case = Case(
        name="noise", image=np.random.default_rng(0).normal(0, 50, (20, 18, 6)).astype(np.float32),
        affine=np.diag([2.0, 2.5, 6.0, 1.0]),
    )  # fmt: skip
    prediction = module.predict(model, case, Clicks(((10, 9, 3),), (True,)))
    assert prediction.mask(prediction.names[0]).shape == case.image.shape


def test_scores_are_measured_again_and_nothing_else_changes(shipped_at):
    before = shipped_at("early_prompt", "early_prompt")
    models.load_shipped.cache_clear()
    shipping.score_again("early_prompt", volumes=("target",), structures=("liver",))
    after = models.card_of("early_prompt")
    assert {row["structure"] for row in after["scores"]["rows"]} == {"liver"}
    assert after.pop("scored_on")["packages"]["torch"]
    assert {**after, "scores": before["scores"]} == before
