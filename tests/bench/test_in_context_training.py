from dataclasses import replace

import pandas as pd
import pytest
import torch

from fmtutor.bench import in_context_training as training
from fmtutor.core.files import read_json
from fmtutor.data.task_bank import bank_of
from fmtutor.paradigms import paradigm
from tests.data.test_task_bank import Region, source


def small_bank():
    names = ("liver", "spleen", "both")
    regions = [Region.of("liver"), Region.of("spleen"), Region.of("both", "liver", "spleen")]
    assert [r.name for r in regions] == list(names)
    return bank_of([source("a", 4, regions=regions)], size=16)


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setattr(training, "training_bank", lambda recipe: small_bank())
    monkeypatch.setattr(training, "GUARD_EVERY", 2)
    whole = training.recipe_of("universeg")
    config = paradigm("universeg").Config.tiny(steps=4)
    return replace(whole, config=config, precision="fp32")


def test_every_system_has_a_recipe_in_both_profiles():
    for system in training.IN_CONTEXT:
        for profile in ("quick", "gpu"):
            assert training.recipe_of(system, profile).system == system
    assert training.recipe_of("tyche", steps=7).config.steps == 7
    with pytest.raises(ValueError, match="unknown in-context system"):
        training.recipe_of("universe")
    with pytest.raises(ValueError, match="unknown profile"):
        training.recipe_of("universeg", "paper")


def test_only_tyche_trains_on_two_answers():
    shares = {s: training.recipe_of(s).episodes.ambiguous for s in training.IN_CONTEXT}
    assert shares["tyche"] > 0 == shares["universeg"]


def test_a_run_leaves_weights_recipe_history_and_guard(recipe, tmp_path):
    records = list(training.train_in_context(recipe, folder=tmp_path))
    assert [r.step for r in records] == [0, 1, 2, 3]
    assert (tmp_path / training.WEIGHTS_FILE).exists()
    assert read_json(tmp_path / training.RECIPE_FILE)["system"] == "universeg"
    guard = pd.read_json(tmp_path / training.GUARD_FILE, lines=True)
    assert guard["step"].tolist() == [2, 4]
    assert guard[["own", "other"]].apply(lambda c: c.between(0, 1).all()).all()


def test_an_interrupted_run_ends_with_the_same_weights(recipe, tmp_path):
    whole = list(training.train_in_context(recipe, folder=tmp_path / "whole"))
    run = training.train_in_context(recipe, folder=tmp_path / "parts")
    next(run)
    run.close()
    again = list(training.train_in_context(recipe, folder=tmp_path / "parts"))
    assert again[-1].loss == whole[-1].loss


def test_the_guard_exchanges_supports_within_a_source_and_axis():
    probe = training.guard_episodes(small_bank(), supports=3, seed=0)
    assert len(probe.query) == 24 == len(training.EXCHANGE)
    for number, other in enumerate(training.EXCHANGE):
        (source_a, axis_a), (source_b, axis_b) = (
            (probe.names[i].split("/")[0], probe.names[i].split()[-1]) for i in (number, other)
        )
        assert (source_a, axis_a) == (source_b, axis_b)
        assert probe.names[number] != probe.names[other]


def test_measuring_does_not_disturb_the_random_numbers_of_training(tmp_path):
    model = paradigm("tyche").build(paradigm("tyche").Config.tiny())
    probe = training.guard_episodes(small_bank(), supports=2, seed=0)
    torch.manual_seed(3)
    training.measure(model, probe, 1, tmp_path)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
