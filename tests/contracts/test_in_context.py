"""What every in-context system promises, run over the whole family (DESIGN 12).

The phantom: a bright and a dark disc at random places. Two tasks, "bright" and "dark", are told
apart by the support alone, so a system that does not read its support cannot know both.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmtutor.bench.in_context_training import IN_CONTEXT
from fmtutor.core.ask import Classes, Support
from fmtutor.core.card import Card
from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.cases import Case
from fmtutor.data.episodes import Episodes, stacked
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.engine.sensitivity import answers, dice_each, support_sensitivity
from fmtutor.paradigms import PARADIGMS, config_of, paradigm
from tests.contracts.training import losses_of
from tests.contracts.work import check_that_a_training_is_small

SIZE = 16
STEPS = {"multiverseg": 160, "tyche": 240, "universeg": 160}
every_system = pytest.mark.parametrize("name", sorted(IN_CONTEXT))


def discs(rng: np.random.Generator, task: str) -> tuple[Tensor, Tensor]:
    """One image with a bright and a dark disc, and the mask of the one that the task asks for."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    left = rng.random() < 0.5
    places = {"bright": (4 if left else 11), "dark": (11 if left else 4)}
    image = np.full((SIZE, SIZE), 0.5) + rng.normal(0, 0.03, (SIZE, SIZE))
    masks = {}
    for name, grey in (("bright", 0.9), ("dark", 0.1)):
        height = rng.uniform(4, 11)
        masks[name] = (rows - height) ** 2 + (columns - places[name]) ** 2 < 9
        image[masks[name]] = grey
    as_tensor = torch.from_numpy(image.clip(0, 1)).float()[None]
    return as_tensor, torch.from_numpy(masks[task]).float()[None]


def episode(task: str, number: int, supports: int = 3) -> Episodes:
    rng = rng_of("phantom", task, number)
    images, masks = map(
        torch.stack, zip(*(discs(rng, task) for _ in range(supports + 1)), strict=True)
    )
    return Episodes(
        query=images[:1], target=masks[:1] > 0.5, support_images=images[None, 1:],
        support_masks=masks[None, 1:], known=torch.ones(1, 1, dtype=torch.bool), names=(task,),
    )  # fmt: skip


def batch_of(number: int) -> Episodes:
    return stacked([episode("bright", number), episode("dark", number)])


def tiny(module: ModuleType, seed: int = 0) -> nn.Module:
    seed_everything(seed)
    return module.build(module.Config.tiny())


def module_for(name: str, contract: str) -> ModuleType:
    module = paradigm(name)
    if contract in module.CARD.exempt:
        pytest.skip(module.CARD.exempt[contract])
    return module


@cache
def trained(name: str) -> nn.Module:
    """The tiny network after its own recipe on many phantoms of both tasks."""
    module = paradigm(name)
    config, model = module.Config.tiny(), tiny(module)
    recipe = FitConfig(
        steps=STEPS[name], lr=config.lr, weight_decay=config.weight_decay, prefetch=0
    )
    batches = [stacked([batch_of(2 * i), batch_of(2 * i + 1)]) for i in range(40)]
    losses_of(fit(model, module.step, lambda i: batches[i % 40], recipe))
    return model.eval()


def test_every_in_context_file_is_trained_by_the_recipes() -> None:
    family = {n for n, path in PARADIGMS.items() if ".incontext." in path}
    assert family == set(IN_CONTEXT)


@every_system
def test_it_offers_the_named_things(name: str) -> None:
    module = paradigm(name)
    for thing in ("Config", "build", "step", "predict"):
        assert callable(getattr(module, thing)), thing
    assert isinstance(module.CARD, Card)
    assert module.CARD.deviations
    assert module.CARD.paper.startswith("https://")


@every_system
def test_every_profile_is_plain_values_and_builds(name: str) -> None:
    module = paradigm(name)
    for profile in ("tiny", "quick", "gpu", "paper"):
        config = getattr(module.Config, profile)()
        assert from_dict(module.Config, to_dict(config)) == config
    model = module.build(module.Config.quick())
    assert config_of(model) == module.Config.quick()
    assert sum(p.numel() for p in model.parameters()) < 10e6


@every_system
@pytest.mark.parametrize("supports", [1, 2, 9])
def test_logits_lie_on_the_query_for_any_support(name: str, supports: int) -> None:
    model, asked = tiny(module_for(name, "shapes")), episode("bright", 0, supports)
    logits = model(asked.query, asked.support_images, asked.support_masks)
    assert logits.shape[0] == 1
    assert logits.shape[2:] == asked.query.shape[2:]


@every_system
def test_it_works_in_3d_by_the_same_code(name: str) -> None:
    module = paradigm(name)
    model = module.build(module.Config.tiny(dims=3))
    query, images = torch.rand(1, 1, 8, 8, 4), torch.rand(1, 2, 1, 8, 8, 4)
    logits = model(query, images, (images > 0.5).float())
    assert logits.shape[2:] == (8, 8, 4)


@every_system
def test_the_order_of_the_support_does_not_matter(name: str) -> None:
    model, asked = tiny(paradigm(name)).double(), batch_of(0)
    turned = replace(
        asked,
        support_images=asked.support_images.flip(1),
        support_masks=asked.support_masks.flip(1),
    )
    answered = []
    for e in (asked, turned):
        torch.manual_seed(0)  # the same noise for both, where candidates draw it
        answered.append(
            model(e.query.double(), e.support_images.double(), e.support_masks.double())
        )
    assert torch.allclose(*answered, atol=1e-10)


@every_system
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    module = module_for(name, "seed")
    runs = []
    for seed in (5, 5, 6):
        model = tiny(module, seed)
        for _ in fit(model, module.step, batch_of, FitConfig(steps=2, prefetch=0)):
            pass
        runs.append(model.state_dict())
    same, again, other = runs
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert not all(torch.equal(same[key], other[key]) for key in same)


@every_system
def test_a_checkpoint_round_trip_changes_no_output(name: str, tmp_path: Path) -> None:
    module = module_for(name, "checkpoint")
    first, second = tiny(module, 1), tiny(module, 2)

    def loss(model: nn.Module) -> float:
        torch.manual_seed(0)
        return float(module.step(model, batch_of(0)).detach())

    before = loss(second)
    save_weights(first, tmp_path / "model.safetensors")
    load_weights(second, tmp_path / "model.safetensors")
    assert loss(second) == loss(first) != before


@every_system
def test_it_learns_two_tasks_that_only_the_support_tells_apart(name: str) -> None:
    module_for(name, "overfits")
    asked = stacked([batch_of(i) for i in range(1000, 1006)])  # phantoms it was not trained on
    model = trained(name)
    assert float(dice_each(answers(model, asked) > 0.5, asked.target[:, 0]).mean()) > 0.8


@every_system
def test_with_the_support_of_the_other_task_it_is_wrong(name: str) -> None:
    """The guard against the commonest failure: the support has no effect."""
    module_for(name, "overfits")
    asked = stacked([batch_of(i) for i in range(1000, 1006)])
    exchange = [i + 1 - 2 * (i % 2) for i in range(len(asked.query))]
    found = support_sensitivity(trained(name), asked, order=exchange)
    assert found.drop > 0.5


@every_system
def test_an_unknown_answer_gets_exactly_zero_gradient_and_is_not_read(name: str) -> None:
    module = module_for(name, "zero_gradient")
    asked = batch_of(0)
    half = replace(asked, known=torch.tensor([[True], [False]]))
    filled = replace(half, target=half.target | ~half.known[:, :, None, None])
    model, kept = tiny(module), []
    hook = model.register_forward_hook(lambda m, i, output: kept.append(output))
    losses = []
    for e in (half, filled):
        torch.manual_seed(0)
        loss = module.step(model, e)
        kept[-1].retain_grad()
        loss.backward()
        losses.append(float(loss.detach()))
    hook.remove()
    assert losses[0] == losses[1]
    for logits in kept:
        assert logits.grad is not None
        assert bool((logits.grad[1] == 0).all())
        assert bool((logits.grad[0] != 0).any())


@every_system
def test_nothing_known_gives_loss_zero_and_moves_nothing(name: str) -> None:
    module = module_for(name, "nothing_known")
    nothing = replace(batch_of(0), known=torch.zeros(2, 1, dtype=torch.bool))
    model = tiny(module)
    loss = module.step(model, nothing)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert all(bool((p.grad == 0).all()) for p in model.parameters() if p.grad is not None)


def rod(tmp_path: Path) -> tuple[Case, Support]:
    """A bright and a dark rod along the body, as a case; its support is of other phantoms."""
    image, mask = discs(rng_of("rod"), "bright")
    hu = np.repeat((image[0].numpy() * 425 - 175)[:, :, None], 6, axis=2)
    labels = np.repeat(mask[0].numpy().astype(np.uint8)[:, :, None], 6, axis=2)
    case = Case(
        name="rod", image=hu.astype(np.float32), affine=np.diag((3.0, 3.0, 5.0, 1.0)),
        labels=labels, table={1: "rod"},
    )  # fmt: skip
    shown = episode("bright", 77, 6)
    return case, Support(
        tuple(shown.support_images[0, :, 0].numpy()), tuple(shown.support_masks[0, :, 0].numpy()),
        name="rod",
    )  # fmt: skip


@every_system
def test_a_volume_is_answered_slice_by_slice_on_its_own_grid(name: str, tmp_path: Path) -> None:
    module = module_for(name, "grid")
    case, support = rod(tmp_path)
    prediction = module.predict(trained(name), case, support)
    assert prediction.classes == ("rod",)
    answer, truth = prediction.mask("rod"), case.mask("rod")
    assert answer.shape == truth.shape
    assert 2 * (answer & truth).sum() / (answer.sum() + truth.sum()) > 0.7
    prediction.save(tmp_path / "rod.nii.gz")
    assert nib.load(tmp_path / "rod.nii.gz").shape == truth.shape


@every_system
def test_an_ask_it_cannot_answer_is_one_clear_error(name: str, tmp_path: Path) -> None:
    module, (case, _) = paradigm(name), rod(tmp_path)
    with pytest.raises(ValueError, match="cannot answer Classes"):
        module.predict(tiny(module), case, Classes(("rod",)))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_system
def test_it_trains_on_a_gpu(name: str, precision: str) -> None:
    module = paradigm(name)
    model = tiny(module)
    recipe = FitConfig(steps=80, lr=1e-2, precision=precision, prefetch=0)  # type: ignore[arg-type]
    losses = [record.loss for record in fit(model, module.step, batch_of, recipe)]
    assert next(model.parameters()).is_cuda
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


@every_system
def test_the_recipe_of_the_contracts_is_small(name: str) -> None:
    module, model = paradigm(name), tiny(paradigm(name))
    batch = stacked([batch_of(0), batch_of(1)])
    check_that_a_training_is_small(lambda: module.step(model, batch), STEPS[name])
