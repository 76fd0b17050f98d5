"""Recipes, their streams and groups, and a killed `fmtutor train`."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fmtutor.bench.recipes import ELSEWHERE, RECIPES
from fmtutor.bench.training import (
    RECIPE_FILE,
    WEIGHTS_FILE,
    described,
    heads_of,
    parameter_groups,
    stream_of,
    train,
    train_recipe,
)
from fmtutor.core.files import read_json
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol, Region
from fmtutor.paradigms import PARADIGMS, paradigm


class Phantoms:
    """Two phantom cases of one ball, as a dataset on disk would come."""

    protocol = Protocol("phantom", (Region.of("liver"),))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Case:
        if index >= len(self):
            raise IndexError(index)
        grid = np.indices((20, 18, 16)) - np.array([10, 9, 8 + index])[:, None, None, None]
        labels = (np.linalg.norm(grid, axis=0) < 5).astype(np.uint8)
        image = (labels * 200.0 - 100.0).astype(np.float32)
        return Case(
            name=f"phantom-{index}", image=image, labels=labels, table={1: "liver"},
            affine=np.diag([3.0, 3.0, 3.0, 1.0]), known=frozenset({"liver"}),
        )  # fmt: skip


def tiny_recipe(steps: int = 3):
    recipe = RECIPES["fseft"]("fseft", "quick")
    module = paradigm("fseft")
    words = module.vocabulary([Phantoms.protocol])
    return replace(recipe, config=module.Config.tiny(steps=steps).with_vocabulary(words))


def test_every_system_has_a_recipe():
    assert set(PARADIGMS) <= {*RECIPES, *ELSEWHERE}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_recipe_teaches_a_novel_structure(name):
    recipe = RECIPES[name](name, "quick")
    taught = {s for c in recipe.centres for r in c.protocol.regions for s in r.structures}
    assert taught.isdisjoint(NOVEL_STRUCTURES)
    assert {word.rpartition("/")[2] for word in recipe.config.classes}.isdisjoint(NOVEL_STRUCTURES)


def test_an_unknown_recipe_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="multitalent"):
        next(train("multitalant", folder=tmp_path))


def test_the_paper_profile_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match="published datasets"):
        next(train("fseft", profile="paper", folder=tmp_path))


@pytest.mark.parametrize("profile", ["gpu", "paper"])
def test_the_few_shot_bases_have_the_published_networks_where_they_are_not_quick(profile):
    unet, swin = (RECIPES[f"few_shot_{kind}"]("", profile).config for kind in ("unet", "swin"))
    assert (unet.backbone, unet.channels) == ("genesis_unet", (64,))
    assert (swin.backbone, swin.channels) == ("swin_unetr", (48,))


def test_heads_have_their_own_rate_and_nothing_is_lost():
    model = paradigm("fseft").build(tiny_recipe().config)
    rest, heads = parameter_groups(model, lr=1e-3, head_lr=1e-2)
    assert (rest["lr"], heads["lr"]) == (1e-3, 1e-2)
    assert {id(p) for p in heads["params"]} == {id(p) for p in model.classifier.parameters()}
    assert len(rest["params"]) + len(heads["params"]) == len(list(model.parameters()))


def test_training_starts_from_the_prior_and_leaves_weights_and_recipe(tmp_path):
    recipe = tiny_recipe(steps=2)
    records = list(train_recipe(recipe, folder=tmp_path, seed=4, sources=[Phantoms()]))
    assert [record.step for record in records] == [0, 1]
    assert read_json(tmp_path / RECIPE_FILE) == described(recipe, 4)
    model = paradigm("fseft").build(recipe.config)
    assert set(load_file(tmp_path / WEIGHTS_FILE)) == set(model.state_dict())
    for head in heads_of(model):
        head.expect(recipe.head_prior)
    assert torch.allclose(model.classifier.bias.sigmoid(), torch.tensor(recipe.head_prior))


def test_seeds_change_the_batches_and_steps_repeat():
    recipe = tiny_recipe()
    first = stream_of(recipe, seed=0, sources=[Phantoms()])
    again = stream_of(recipe, seed=0, sources=[Phantoms()])
    other = stream_of(recipe, seed=1, sources=[Phantoms()])
    assert torch.equal(first(7).image, again(7).image)
    assert not torch.equal(first(7).image, other(7).image)


def _train_command(folder: Path) -> list[str]:
    options = ["--steps", "6", "--seed", "2", "--every", "1"]
    return [sys.executable, "-m", "fmtutor", "train", "fseft", "--out", str(folder), *options]


@pytest.mark.slow
def test_fmtutor_train_killed_at_a_random_step_ends_with_the_same_weights(samples, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(_train_command(tmp_path / "whole"), env=environment, check=True)
    killed = tmp_path / "killed"
    process = subprocess.Popen(_train_command(killed), env=environment)
    stop_after = random.SystemRandom().randint(1, 4)
    history = killed / "history.jsonl"
    while not history.exists() or history.read_text().count("\n") < stop_after:
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / WEIGHTS_FILE).exists()
    subprocess.run(_train_command(killed), env=environment, check=True)
    whole, resumed = (load_file(tmp_path / run / WEIGHTS_FILE) for run in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_part_with_a_rate_of_its_own_is_trained_at_that_factor_of_the_heads() -> None:
    model = paradigm("hermes").build(paradigm("hermes").Config.tiny())
    groups = parameter_groups(model, lr=1.0, head_lr=10.0)
    rate_of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rate_of) == sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    assert rate_of[id(model.classifier.bias.bias)] == 10.0
    assert rate_of[id(next(model.classifier.vector.parameters()))] == 0.5
    place = model.unet.places[0]
    assert rate_of[id(place.task_table)] == 1.0
    assert {rate_of[id(p)] for p in place.blocks.parameters()} == {0.25}


def test_suprem_by_name_first_trains_the_model_that_completes_its_labels(monkeypatch, tmp_path):
    calls = []

    def fake(recipe, *, folder, seed=0, sources=None, start=None):
        calls.append((recipe.system, recipe.config.steps, folder.name, sources))
        yield from ()

    monkeypatch.setattr("fmtutor.bench.training.train_recipe", fake)
    monkeypatch.setattr("fmtutor.bench.training._completed_by", lambda first, folder: ["whole"])
    assert list(train("suprem", folder=tmp_path / "run", steps=7)) == []
    assert calls == [("fseft", 7, "first", None), ("suprem", 7, "run", ["whole"])]


def test_a_training_begins_where_another_ended(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    list(train_recipe(tiny_recipe(), folder=first, sources=[Phantoms()]))
    list(train_recipe(tiny_recipe(1), folder=second, sources=[Phantoms()], seed=1, start=first))
    one, two = (load_file(folder / WEIGHTS_FILE) for folder in (first, second))
    moved = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert 0 < moved < 0.5  # one step of AdamW, heads ten times as fast
    assert read_json(second / RECIPE_FILE)["start"]["steps"] == 3
    with pytest.raises(ValueError, match="begins from a finished one"):
        list(train_recipe(tiny_recipe(), folder=tmp_path / "c", start=tmp_path / "nothing"))
    with pytest.raises(ValueError, match="leave --start out"):
        next(train("swin_ssl", folder=tmp_path / "d", start=first))
