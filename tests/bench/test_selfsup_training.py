"""Recipes of the self-supervised systems: from whom they learn, and what a run leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fmtutor.bench import selfsup_training as training
from fmtutor.bench.training import train
from fmtutor.core.files import read_json
from fmtutor.core.seeds import torch_rng
from fmtutor.data.domains import CENTRES, TARGET, WIDE
from fmtutor.data.pretext import PretextBatch
from fmtutor.data.shelf import VirtualSource
from fmtutor.paradigms import SELF_SUPERVISED, paradigm

every_system = pytest.mark.parametrize("system", sorted(SELF_SUPERVISED))


def blocks(position: int) -> PretextBatch:
    views = torch.rand(4, 1, 64, 32, 32, generator=torch_rng(position))
    return PretextBatch(views=views, target=views, rotation=torch.tensor([0, 1, 2, 3]))


def tiny(**changes):
    config = paradigm("swin_ssl").Config.tiny(steps=2, reconstruction_weight=0.0, **changes)
    recipe = training.recipe_of("swin_ssl")
    return replace(recipe, config=config, precision="fp32")


def test_recipes_are_found_by_name():
    quick = training.recipe_of("swin_ssl", steps=7)
    assert (quick.config.steps, quick.config.feature_size) == (7, 12)
    assert training.recipe_of("swin_ssl", "gpu").config.feature_size == 48
    with pytest.raises(ValueError, match="unknown self-supervised system"):
        training.recipe_of("swin")
    with pytest.raises(ValueError, match="unknown profile"):
        training.recipe_of("swin_ssl", "paper")


@every_system
def test_images_come_from_the_training_centres_and_from_nobody_else(system):
    recipe = training.recipe_of(system)
    stream = training.stream_of(recipe, seed=3)
    assert all(isinstance(source, VirtualSource) for source in stream.sources)
    centres = [source.centre for source in stream.sources]
    assert centres == [*CENTRES.values(), WIDE]
    assert TARGET not in centres
    assert [len(source) for source in stream.sources] == [16] * 6 + [300]
    assert np.isclose(stream.weights.sum(), 1)
    assert np.isclose(stream.weights[-1], 0.5)
    assert (stream.config, stream.seed) == (recipe.config.views, 3)
    assert training.described(recipe, 3)["centres"] == [*CENTRES, "wide"]


def test_a_run_leaves_weights_recipe_and_history_and_resumes(tmp_path):
    whole = list(training.train_selfsup(tiny(), folder=tmp_path / "whole", stream=blocks))
    assert [record.step for record in whole] == [0, 1]
    written = read_json(tmp_path / "whole" / training.RECIPE_FILE)
    assert (written["system"], written["config"]["steps"]) == ("swin_ssl", 2)
    weights = load_file(tmp_path / "whole" / training.WEIGHTS_FILE)
    assert any(name.startswith("encoder.swinViT.") for name in weights)
    run = training.train_selfsup(tiny(), folder=tmp_path / "parts", stream=blocks)
    next(run)
    run.close()
    again = list(training.train_selfsup(tiny(), folder=tmp_path / "parts", stream=blocks))
    assert again[-1].loss == whole[-1].loss


def test_the_command_line_trains_self_supervised_systems_here(monkeypatch, tmp_path):
    seen = []

    def stand_in(recipe, **options):
        seen.append((recipe.system, recipe.config.steps, options))
        return iter(())

    monkeypatch.setattr(training, "train_selfsup", stand_in)
    assert list(train("swin_ssl", folder=tmp_path, steps=5, seed=2)) == []
    assert seen == [("swin_ssl", 5, {"folder": tmp_path, "seed": 2})]
