"""What every self-supervised system promises, run over the whole family (DESIGN 12).

The phantom: blocks of balls of random greys. Its crops are what a network overfits here: one batch
whose turns, views and cuts it may learn by heart.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.card import Card
from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.cases import Case
from fmtutor.data.pretext import PretextBatch, PretextStream
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.losses.contrastive import TERMS
from fmtutor.paradigms import SELF_SUPERVISED, config_of, paradigm
from tests.contracts.training import losses_of
from tests.contracts.work import check_that_a_training_is_small

every_system = pytest.mark.parametrize("name", sorted(SELF_SUPERVISED))
every_term = pytest.mark.parametrize("term", TERMS)


def phantom(number: int) -> Case:
    rng, at = rng_of("self-supervised phantom", number), np.indices((80, 40, 40))
    image = np.zeros(at.shape[1:], np.float32)
    for _ in range(12):
        centre, radius = rng.uniform(4, (76, 36, 36)), rng.uniform(5, 10)
        distance = ((at - centre[:, None, None, None]) ** 2).sum(0)
        image[distance < radius**2] = rng.uniform(-150, 240)
    return Case(name=f"balls-{number}", image=image, affine=np.diag([5.0, 5.0, 5.0, 1.0]))


@cache
def batch_of(name: str) -> PretextBatch:
    views = paradigm(name).Config.tiny().views
    return PretextStream([[phantom(0), phantom(1), phantom(2)]], views)(1)


def tiny(module: ModuleType, seed: int = 0, **changes: float) -> nn.Module:
    seed_everything(seed)
    return module.build(module.Config.tiny(**changes))


def alone(term: str) -> dict[str, float]:
    """Weights with which a system learns one term."""
    return {f"{each}_weight": float(each == term) for each in TERMS}


@every_system
def test_it_offers_the_named_things(name: str) -> None:
    module = paradigm(name)
    for thing in ("Config", "build", "losses", "step", "encoder_state", "load_encoder"):
        assert callable(getattr(module, thing)), thing
    assert not hasattr(module, "predict"), "it segments nothing"
    assert isinstance(module.CARD, Card)
    assert module.CARD.deviations
    assert module.CARD.paper.startswith("https://")


@every_system
def test_every_profile_is_plain_values_and_quick_is_small(name: str) -> None:
    module = paradigm(name)
    for profile in ("tiny", "quick", "gpu", "paper"):
        config = getattr(module.Config, profile)()
        assert from_dict(module.Config, to_dict(config)) == config
    model = module.build(module.Config.quick())
    assert config_of(model) == module.Config.quick()
    assert sum(p.numel() for p in model.parameters()) < 10e6


@every_system
def test_every_term_is_answered_for_every_view(name: str) -> None:
    module, batch = paradigm(name), batch_of(name)
    with torch.no_grad():
        answers = tiny(module)(batch.views)
    assert tuple(answers) == TERMS
    assert answers["rotation"].shape == (len(batch.views), 4)
    assert answers["contrast"].shape[0] == len(batch.views)
    assert answers["reconstruction"].shape == batch.target.shape


@every_system
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    module, runs = paradigm(name), []
    for seed in (5, 5, 6):
        model = tiny(module, seed, reconstruction_weight=0.0)  # the others are quicker
        for _ in fit(model, module.step, lambda i: batch_of(name), FitConfig(steps=1, prefetch=0)):
            pass
        runs.append(model.state_dict())
    same, again, other = runs
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert not all(torch.equal(same[key], other[key]) for key in same)


@every_system
def test_a_checkpoint_round_trip_changes_no_output(name: str, tmp_path: Path) -> None:
    module, batch = paradigm(name), batch_of(name)
    first, second = tiny(module, 1), tiny(module, 2)
    with torch.no_grad():
        before = float(module.step(second, batch))
        save_weights(first, tmp_path / "model.safetensors")
        load_weights(second, tmp_path / "model.safetensors")
        assert float(module.step(second, batch)) == float(module.step(first, batch)) != before


@every_system
@every_term
def test_each_term_alone_overfits_one_batch(name: str, term: str) -> None:
    module = paradigm(name)
    model = tiny(module, **alone(term))
    losses = trained(module, model, name)
    assert losses[-1] < 0.9 * losses[0]


@every_system
def test_the_terms_together_overfit_one_batch(name: str) -> None:
    module = paradigm(name)
    losses = trained(module, tiny(module), name)
    assert losses[-1] < 0.9 * losses[0]


def trained(module: ModuleType, model: nn.Module, name: str) -> list[float]:
    tiny = config_of(model)
    config = FitConfig(
        steps=tiny.steps, lr=tiny.lr, schedule="constant", weight_decay=0.0, prefetch=0
    )
    return losses_of(fit(model, module.step, lambda i: batch_of(name), config))


@every_system
@every_term
def test_a_term_without_weight_gives_its_head_no_gradient(name: str, term: str) -> None:
    module, batch = paradigm(name), batch_of(name)
    kept = {"contrast": "rotation"}.get(term, "contrast")  # one cheap term to learn from instead
    model = tiny(module, **alone(kept))
    loss = module.step(model, batch)
    loss.backward()
    assert set(module.losses(model, batch)) == {kept}
    assert all(p.grad is None for p in model.heads[term].parameters())
    for part in (model.heads[kept], model.encoder):
        assert any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())


@every_system
def test_the_target_of_a_term_without_weight_is_not_read(name: str) -> None:
    module, batch = paradigm(name), batch_of(name)
    model = tiny(module, reconstruction_weight=0.0)
    with torch.no_grad():
        spoilt = replace(batch, target=torch.full_like(batch.target, torch.nan))
        assert torch.equal(module.step(model, batch), module.step(model, spoilt))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_system
def test_it_trains_on_a_gpu(name: str, precision: str) -> None:
    module = paradigm(name)
    model = tiny(module)
    recipe = FitConfig(steps=40, lr=5e-4, precision=precision, prefetch=0)  # type: ignore[arg-type]
    steps = fit(model, module.step, lambda i: batch_of(name), recipe)
    losses = [record.loss for record in steps]
    assert next(model.parameters()).is_cuda
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


@every_system
def test_the_recipe_of_the_contracts_is_small(name: str) -> None:
    module, model = paradigm(name), tiny(paradigm(name))
    batch = batch_of(name)
    check_that_a_training_is_small(lambda: module.step(model, batch), module.Config.tiny().steps)
