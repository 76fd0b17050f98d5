import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fmtutor.bench import interactive_training as training
from fmtutor.bench.training import train
from fmtutor.core.files import read_json
from fmtutor.core.seeds import torch_rng
from fmtutor.data.natural_pictures import NaturalSource
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.slice_objects import SliceObjectStream
from fmtutor.paradigms import paradigm


def blocks(position):
    image = torch.rand(1, 1, 16, 16, 16, generator=torch_rng(position))
    return ObjectBatch(image=image, target=image.expand(1, 2, -1, -1, -1) > 0.6,
                       known=torch.ones(1, 2, dtype=torch.bool), seed=position)  # fmt: skip


@pytest.fixture
def recipe():
    config = paradigm("early_prompt").Config.tiny(steps=4)
    return training.InteractiveRecipe(system="early_prompt", config=config, precision="fp32")


def test_recipes_are_found_by_name():
    quick = training.recipe_of("early_prompt", steps=7)
    assert (quick.config.steps, quick.precision) == (7, "fast")
    assert training.recipe_of("early_prompt", "gpu").precision == "auto"
    with pytest.raises(ValueError, match="unknown interactive system"):
        training.recipe_of("early")
    with pytest.raises(ValueError, match="unknown profile"):
        training.recipe_of("early_prompt", "paper")


def test_volumes_are_cropped_as_the_configuration_says():
    stream = training.stream_of(training.recipe_of("early_prompt"), seed=3)
    assert stream.config.size == (64, 64, 48)
    assert (stream.config.objects, stream.config.batch, stream.seed) == (2, 1, 3)
    assert np.isclose(stream.weights[-1], 0.15)


def test_a_network_of_slices_learns_from_slices(monkeypatch):
    asked = []

    def small(config):
        asked.append(config)
        return NaturalSource(config.size, names=("camera",))

    monkeypatch.setattr(training, "training_slices", small)
    recipe = training.recipe_of("early_prompt")
    config = type(recipe.config).tiny(dims=2, patch=(32, 32))
    flat = training.InteractiveRecipe(system="early_prompt", config=config)
    assert isinstance(training.stream_of(flat, seed=0), SliceObjectStream)
    assert asked[0].size == 32


def test_a_run_leaves_weights_recipe_and_history(recipe, tmp_path):
    records = list(training.train_interactive(recipe, folder=tmp_path, stream=blocks))
    assert [r.step for r in records] == [0, 1, 2, 3]
    assert load_file(tmp_path / training.WEIGHTS_FILE)
    written = read_json(tmp_path / training.RECIPE_FILE)
    assert written["config"]["plan"]["rounds"] == [1, 2]
    assert written["brain"] == 0.15


def test_an_interrupted_run_ends_with_the_same_loss(recipe, tmp_path):
    whole = list(training.train_interactive(recipe, folder=tmp_path / "whole", stream=blocks))
    run = training.train_interactive(recipe, folder=tmp_path / "parts", stream=blocks)
    next(run)
    run.close()
    again = list(training.train_interactive(recipe, folder=tmp_path / "parts", stream=blocks))
    assert again[-1].loss == whole[-1].loss


def test_the_command_line_trains_interactive_systems_here(monkeypatch, tmp_path):
    seen = []

    def stand_in(recipe, **options):
        seen.append((recipe.system, recipe.config.steps, options))
        return iter(())

    monkeypatch.setattr(training, "train_interactive", stand_in)
    assert list(train("early_prompt", folder=tmp_path, steps=5, seed=2)) == []
    assert seen == [("early_prompt", 5, {"folder": tmp_path, "seed": 2})]


def test_a_system_that_adapts_begins_from_the_shipped_general_sam(monkeypatch, tmp_path):
    recipe = training.recipe_of("medsam", steps=1)
    assert (recipe.base, training.recipe_of("sam").base) == ("sam_base", "")
    config = type(recipe.config).tiny(steps=1)
    base = paradigm("sam").build(paradigm("sam").Config.tiny())
    monkeypatch.setattr(training, "load_shipped", lambda name: (base, None, {}))
    small = training.InteractiveRecipe(system="medsam", config=config, base="sam_base")
    begun = []
    build = paradigm("medsam").build
    monkeypatch.setattr(
        paradigm("medsam"), "build", lambda *given: begun.append(given) or build(*given)
    )

    def flat(position):
        image = torch.rand(1, 1, 16, 16, generator=torch_rng(position))
        return ObjectBatch(image=image, target=image.expand(1, 2, -1, -1) > 0.6,
                           known=torch.ones(1, 2, dtype=torch.bool), seed=position)  # fmt: skip

    list(training.train_interactive(small, folder=tmp_path, stream=flat))
    assert begun == [(config, base)]
