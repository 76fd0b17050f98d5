"""What every interactive system promises, run over the whole family (DESIGN 12).

The phantom: a bright and a dark ball (in 2D, disc) at random places. Both are objects, and nothing
but the prompt says which one is meant: a system that ignores its prompt cannot know both.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from fmtutor.core.ask import Boxes, Clicks, Part, Support
from fmtutor.core.card import Card
from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.geometry import Grid
from fmtutor.core.prompts import INSIDE, OUTSIDE, Answer, Prompts, no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.boxes import tight
from fmtutor.data.cases import Case
from fmtutor.data.clicks import simulate
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.engine.sensitivity import dice_each
from fmtutor.paradigms import INTERACTIVE, config_of, paradigm

SPACING_MM = 3.0
STEPS = 200
"""Of the training that a tiny network gets here, at its own learning rate."""
every_system = pytest.mark.parametrize("name", sorted(INTERACTIVE))


def grid_of(name: str) -> tuple[int, ...]:
    """The image of a tiny network; its number of axes tells 2D from 3D systems."""
    return tuple(paradigm(name).Config.tiny().size)


def phantom(size: tuple[int, ...], number: int) -> tuple[np.ndarray, np.ndarray]:
    """One image (*size) with a bright and a dark ball, and their masks (2, *size)."""
    rng = rng_of("interactive phantom", number)
    image = np.full(size, 0.5) + rng.normal(0, 0.03, size)
    at, side = np.indices(size), size[0]
    masks = np.zeros((2, *size), bool)
    left = int(rng.integers(2))
    for which, grey in enumerate((0.9, 0.1)):
        centre = rng.uniform(0.3, 0.65, len(size)) * size
        centre[1] = (0.25 if which == left else 0.7) * size[1]
        distance = sum((line - c) ** 2 for line, c in zip(at, centre, strict=True))
        masks[which] = distance < (0.21 * side) ** 2
        image[masks[which]] = grey
    return image.clip(0, 1).astype(np.float32), masks


def batch_of(name: str, seed: int = 0) -> ObjectBatch:
    """Always the same two images; the seed draws other clicks."""
    found = [phantom(grid_of(name), number) for number in range(2)]
    pictures, masks = (np.stack(part) for part in zip(*found, strict=True))
    return ObjectBatch(
        image=torch.from_numpy(pictures[:, None]), target=torch.from_numpy(masks),
        known=torch.ones(2, 2, dtype=torch.bool), names=(("bright", "dark"),) * 2,
        seed=seed,
    )  # fmt: skip


def tiny(module: ModuleType, seed: int = 0) -> Any:
    seed_everything(seed)
    return module.build(module.Config.tiny())


def module_for(name: str, *contracts: str) -> ModuleType:
    module = paradigm(name)
    for contract in contracts:
        if contract in module.CARD.exempt:
            pytest.skip(module.CARD.exempt[contract])
    return module


def answers_clicks(name: str) -> bool:
    return "clicks" not in paradigm(name).CARD.exempt


def innermost(mask: np.ndarray) -> tuple[int, ...]:
    click = simulate("centre", mask, np.zeros_like(mask), rng_of("contracts"))
    assert click is not None
    return click.point


def prompts_on(name: str, masks: Tensor) -> Prompts:
    """One click in the middle of each mask (R, *grid), or its box where clicks are not answered."""
    rows, dims = len(masks), masks.dim() - 1
    if not answers_clicks(name):
        boxes = np.stack([tight(mask) for mask in masks.numpy()])
        return replace(no_points(rows, dims), boxes=torch.from_numpy(boxes).float())
    points = torch.tensor([[innermost(mask)] for mask in masks.numpy()]).float()
    return Prompts(points=points, labels=torch.full((rows, 1), INSIDE))


@torch.no_grad()
def answered(model: Any, image: Tensor, prompts: Prompts, **how: Any) -> Answer:
    return model.eval().decode(model.embed(image), prompts, **how)


@cache
def trained(name: str) -> Any:
    """The tiny network after its own recipe on one batch; and the losses on the way."""
    module = paradigm(name)
    config, model = module.Config.tiny(), tiny(module)
    recipe = FitConfig(steps=STEPS, lr=config.lr, weight_decay=config.weight_decay, prefetch=0)
    steps = fit(model, module.step, lambda i: batch_of(name, i), recipe)
    model.losses = [record.loss for record in steps]
    return model.eval()


@every_system
def test_it_offers_the_named_things(name: str) -> None:
    module = paradigm(name)
    for thing in ("Config", "build", "step", "predict"):
        assert callable(getattr(module, thing)), thing
    assert isinstance(module.CARD, Card)
    assert module.CARD.deviations
    assert module.CARD.paper.startswith("https://")


@every_system
def test_every_profile_is_plain_values_and_tiny_builds(name: str) -> None:
    module = paradigm(name)
    for profile in ("tiny", "quick", "gpu", "paper"):
        config = getattr(module.Config, profile)()
        assert from_dict(module.Config, to_dict(config)) == config
        assert len(config.size) == len(grid_of(name)), "a profile changes no number of axes"
    assert config_of(tiny(module)) == module.Config.tiny()


@every_system
def test_the_quick_network_is_of_a_size_for_a_cpu(name: str) -> None:
    module = paradigm(name)
    model = module.build(module.Config.quick())
    assert sum(p.numel() for p in model.parameters()) < 10e6


@every_system
def test_an_answer_has_one_row_a_question_on_the_grid_of_the_image(name: str) -> None:
    model, batch = tiny(module_for(name, "prompts")), batch_of(name)
    prompts = prompts_on(name, batch.target.flatten(0, 1))
    for candidates, allowed in ((False, {1}), (True, {1, 3})):
        answer = answered(model, batch.image, prompts, candidates=candidates)
        several = answer.logits.shape[1]
        assert several in allowed
        assert answer.logits.shape == (4, several, *grid_of(name))
        assert answer.quality.shape == (4, several)
        assert answer.low.shape[:2] == (4, several)
        again = answered(model, batch.image, prompts.with_mask(answer.best().low))
        assert again.logits.shape == (4, 1, *grid_of(name))
        assert again.low.shape[2:] == answer.low.shape[2:]


@every_system
def test_objects_asked_together_are_answered_as_each_alone(name: str) -> None:
    model, batch = tiny(module_for(name, "prompts")), batch_of(name)
    masks = batch.target.flatten(0, 1)
    together = answered(model, batch.image, prompts_on(name, masks))
    for row in range(4):
        image = batch.image[row // 2, None]
        alone = answered(model, image, prompts_on(name, masks[row, None]))
        assert torch.allclose(alone.logits[0], together.logits[row], atol=1e-4)
        assert torch.allclose(alone.quality[0], together.quality[row], atol=1e-4)


@every_system
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    module = module_for(name, "seed")
    runs = []
    for seed in (5, 5, 6):
        model = tiny(module, seed)
        for _ in fit(
            model, module.step, lambda i: batch_of(name, i), FitConfig(steps=2, prefetch=0)
        ):
            torch.rand(seed)  # what others draw meanwhile changes nothing
        runs.append(model.state_dict())
    same, again, other = runs
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert not all(torch.equal(same[key], other[key]) for key in same)


@every_system
def test_a_step_draws_from_the_seed_of_its_batch_alone(name: str) -> None:
    module = module_for(name, "seed", "draws")
    model = tiny(module)
    losses = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        losses.append([module.step(model, batch_of(name, seed)).item() for seed in range(6)])
    assert losses[0] == losses[1]
    assert len(set(losses[0])) > 1


@every_system
def test_a_checkpoint_round_trip_changes_no_output(name: str, tmp_path: Path) -> None:
    module = module_for(name, "checkpoint")
    first, second = tiny(module, 1), tiny(module, 2)
    with torch.no_grad():
        before = float(module.step(second, batch_of(name)))
        save_weights(first, tmp_path / "model.safetensors")
        load_weights(second, tmp_path / "model.safetensors")
        after = float(module.step(second, batch_of(name)))
        assert after == float(module.step(first, batch_of(name))) != before


@every_system
def test_it_learns_two_objects_that_only_the_prompt_tells_apart(name: str) -> None:
    module_for(name, "prompts", "overfits")
    model, batch = trained(name), batch_of(name)
    masks = batch.target.flatten(0, 1)
    answer = answered(model, batch.image, prompts_on(name, masks))
    assert np.mean(model.losses[-10:]) < 0.5 * np.mean(model.losses[:5])
    assert float(dice_each(answer.logits[:, 0] > 0, masks).mean()) > 0.8


@every_system
def test_with_the_prompt_of_the_other_object_it_answers_the_other_object(name: str) -> None:
    """The guard against the commonest failure: the prompt has no effect."""
    module_for(name, "prompts", "overfits")
    batch = batch_of(name)
    masks, others = batch.target.flatten(0, 1), batch.target.flip(1).flatten(0, 1)
    mask = answered(trained(name), batch.image, prompts_on(name, others)).logits[:, 0] > 0
    assert float(dice_each(mask, masks).mean()) < 0.3
    assert float(dice_each(mask, others).mean()) > 0.8


@every_system
def test_a_prompt_gains_over_none(name: str) -> None:
    module_for(name, "prompts", "overfits")
    model, batch = trained(name), batch_of(name)
    masks = batch.target.flatten(0, 1)
    nothing = no_points(4, masks.dim() - 1)
    without, with_one = (
        float(dice_each(answered(model, batch.image, asked).logits[:, 0] > 0, masks).mean())
        for asked in (nothing, prompts_on(name, masks))
    )
    assert with_one > without + 0.2


@every_system
def test_fifty_clicks_are_answered(name: str) -> None:
    module_for(name, "prompts", "clicks")
    model, batch = tiny(paradigm(name)), batch_of(name)
    rng, size = rng_of("fifty clicks"), grid_of(name)
    points = torch.from_numpy(rng.integers(0, size, (4, 50, len(size)))).float()
    labels = torch.where(torch.arange(50) % 3 == 2, OUTSIDE, INSIDE).expand(4, -1)
    answer = answered(model, batch.image, Prompts(points=points, labels=labels))
    assert bool(answer.logits.isfinite().all())
    assert bool(answer.quality.isfinite().all())


def recorded(model: Any) -> list[Answer]:
    """Let a network keep each answer of a training step, with its gradients."""
    kept: list[Answer] = []
    decode: Callable[..., Answer] = model.decode

    def keeping(*args: Any, **how: Any) -> Answer:
        answer = decode(*args, **how)
        for part in (answer.logits, answer.quality):
            if part.requires_grad:
                part.retain_grad()
        kept.append(answer)
        return answer

    model.decode = keeping
    return kept


@every_system
def test_an_unknown_object_gets_exactly_zero_gradient(name: str) -> None:
    module = module_for(name, "prompts", "zero_gradient")
    model = tiny(module)
    kept = recorded(model)
    known = torch.tensor([[True, False], [True, True]])
    module.step(model, replace(batch_of(name), known=known)).backward()
    assert kept
    moved = torch.zeros(4)
    for answer in kept:
        for part in (answer.logits, answer.quality):
            if part.requires_grad and part.grad is not None:
                assert bool((part.grad[1] == 0).all())
                moved += part.grad.flatten(1).abs().sum(1)
    assert (moved > 0).tolist() == [True, False, True, True]


@every_system
def test_nothing_known_gives_loss_zero_and_moves_nothing(name: str) -> None:
    module = module_for(name, "nothing_known")
    nothing = replace(batch_of(name), known=torch.zeros(2, 2, dtype=torch.bool))
    model = tiny(module)
    loss = module.step(model, nothing)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert all(bool((p.grad == 0).all()) for p in model.parameters() if p.grad is not None)


def volume(name: str) -> Case:
    """A phantom it was trained on, as a CT in voxels twice as long as wide, stored as LPS.

    For a 3D network neighbouring slices are averaged; a 2D one sees its image in every slice.
    """
    size = grid_of(name)
    image, masks = phantom(size, 0)
    if len(size) == 2:
        image, masks = image[..., None].repeat(8, -1), masks[..., None].repeat(8, -1)
    else:
        image, masks = image.reshape(*size[:2], -1, 2).mean(-1), masks[..., ::2]
    affine = np.diag((SPACING_MM, SPACING_MM, 2 * SPACING_MM, 1.0))
    grid = Grid(image.shape, affine)  # type: ignore[arg-type]
    lps = affine @ np.diag((-1.0, -1.0, 1.0, 1.0))
    lps[:2, 3] = affine[:2, :2] @ (np.array(image.shape[:2]) - 1)
    return Case(
        name="phantom", image=image * 425 - 175, affine=grid.affine,
        labels=(masks[0] + 2 * masks[1]).astype(np.uint8), table={1: "bright", 2: "dark"},
        native=Grid(image.shape, lps),  # type: ignore[arg-type]
    )  # fmt: skip


def part_of(kind: str, mask: np.ndarray) -> tuple[Part, Any]:
    """A click on or a box around a mask, and where a 2D system can be expected to answer it."""
    point = innermost(mask)
    if kind == "clicks":
        return Clicks((point,), (True,)), np.index_exp[:, :, point[2]]  # type: ignore[arg-type]
    first, last = tight(mask)
    box = tuple(np.concatenate((first, last + 1)).tolist())
    return Boxes((box,)), np.index_exp[:, :, first[2] : last[2] + 1]  # type: ignore[arg-type]


@every_system
@pytest.mark.parametrize("kind", ["clicks", "boxes"])
def test_a_volume_is_answered_on_its_own_grid(name: str, kind: str, tmp_path: Path) -> None:
    module, case = module_for(name, "prompts", "predict", "overfits", kind), volume(name)
    for structure in ("bright", "dark"):
        truth = case.mask(structure)
        part, seen = part_of(kind, truth)
        prediction = module.predict(trained(name), case, part)
        (answered_name,) = prediction.classes
        mask = prediction.mask(answered_name)
        assert mask.shape == truth.shape
        if kind == "boxes" and answers_clicks(name):
            continue  # boxes are a side dish of so short a training; what it learnt is checked
        where = seen if len(grid_of(name)) == 2 else ...
        overlap = (mask & truth)[where].sum()
        assert 2 * overlap / (mask[where].sum() + truth[where].sum()) > 0.6
    prediction.save(tmp_path / "answer.nii.gz")
    written: Any = nib.load(tmp_path / "answer.nii.gz")
    assert nib.aff2axcodes(written.affine) == ("L", "P", "S")
    assert np.array_equal(np.asarray(written.dataobj)[::-1, ::-1] > 0, mask)


@every_system
def test_fifty_clicks_into_a_volume_are_answered(name: str) -> None:
    module, case = module_for(name, "prompts", "predict", "clicks"), volume(name)
    voxels = np.argwhere(case.mask("bright"))
    chosen = voxels[rng_of("fifty").permutation(len(voxels))[:50]]
    points = tuple(tuple(int(at) for at in voxel) for voxel in chosen)
    prediction = module.predict(tiny(module), case, Clicks(points, (True,) * 50))  # type: ignore[arg-type]
    assert prediction.grid == case.grid or prediction.grid.shape == case.image.shape


@every_system
def test_an_ask_it_cannot_answer_is_one_clear_error(name: str) -> None:
    module, case = paradigm(name), volume(name)
    image, masks = phantom(grid_of(name), 1)
    with pytest.raises(ValueError, match="cannot answer Support; it answers: "):
        module.predict(tiny(module), case, Support((image,), (masks[0],)))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_system
def test_it_trains_on_a_gpu(name: str, precision: str) -> None:
    module, model = paradigm(name), tiny(paradigm(name))
    recipe = FitConfig(steps=80, lr=4e-3, precision=precision, prefetch=0)  # type: ignore[arg-type]
    steps = fit(model, module.step, lambda i: batch_of(name, i), recipe)
    losses = [record.loss for record in steps]
    assert next(model.parameters()).is_cuda
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


@every_system
def test_the_recipe_of_the_contracts_is_small(name: str) -> None:
    module, model = paradigm(name), tiny(paradigm(name))
    module.step(model, batch_of(name)).backward()
    began = time.process_time()
    for seed in range(8):
        module.step(model, batch_of(name, seed)).backward()
    assert (time.process_time() - began) / 8 * STEPS < 15.0
