"""What every system promises, run over the whole table (DESIGN 12).

The phantom: a bright and a dark ellipsoid in a block of 48 mm. Protocol "a" draws the liver alone,
protocol "b" the spleen alone; both samples of the batch are the same patient, so a system that
learns from partial labels knows both organs in the end, and one that takes unknown for background
knows neither well.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fmtutor.paradigms as paradigms
from fmtutor.core.ask import Classes, Text
from fmtutor.core.card import Card
from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.seeds import seed_everything
from fmtutor.course.checks import CheckFailedError, check_unknown_gets_zero_gradient
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.nifti import read_nifti
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.transforms import normalise
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.losses.partial import naive_loss
from fmtutor.paradigms import (
    IN_CONTEXT,
    INTERACTIVE,
    PARADIGMS,
    SELF_SUPERVISED,
    config_of,
    paradigm,
)
from tests.contracts.training import losses_of
from tests.contracts.work import check_that_a_training_is_small

PROTOCOLS = (
    Protocol("a", (Region.of("liver"),)),
    Protocol("b", (Region.of("spleen"),)),
)
TABLE = {1: "liver", 2: "spleen"}
CONTRACTS = {"shapes", "seed", "checkpoint", "overfits", "zero_gradient", "nothing_known", "grid"}
"""Names that a card may exempt itself from, with a reason."""

CLASSES = sorted(set(PARADIGMS) - IN_CONTEXT - INTERACTIVE - SELF_SUPERVISED)
"""Systems of named classes; those that answer examples or clicks, and those that learn without
labels, have contracts of their own."""

every_system = pytest.mark.parametrize("name", CLASSES)


def phantom(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Case:
    """Two ellipsoids, placed in millimetres, so that they look alike at any spacing."""
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing_mm, strict=True)]
    h, w, d = np.meshgrid(*axes, indexing="ij")
    liver = ((h - 15) / 11) ** 2 + ((w - 24) / 16) ** 2 + ((d - 20) / 14) ** 2 < 1
    spleen = ((h - 36) / 8) ** 2 + ((w - 20) / 10) ** 2 + ((d - 30) / 12) ** 2 < 1
    labels = liver.astype(np.uint8) + 2 * spleen.astype(np.uint8)
    image = np.choose(labels, (20.0, 160.0, -120.0)).astype(np.float32)
    affine = np.diag((*spacing_mm, 1.0))
    affine[:3, 3] = np.array(spacing_mm) / 2
    return Case(name="phantom", image=image, affine=affine, labels=labels, table=TABLE)


def batch_of(module: ModuleType, case: Case) -> Batch:
    """The case twice: once as protocol "a" draws it, once as "b" does."""
    words = module.vocabulary(PROTOCOLS)
    luts = [words.lut(task, TABLE, size=3) for task in range(2)]
    assert case.labels is not None
    target = np.stack([lut[:, case.labels] for lut in luts])
    image = torch.from_numpy(normalise(case.image, "CT"))[None, None]
    return Batch(
        image=image.repeat(2, 1, 1, 1, 1),
        target=torch.from_numpy(target),
        known=torch.from_numpy(np.stack([words.known(task) for task in range(2)])),
        task=torch.arange(2),
    )


def tiny(module: ModuleType, seed: int = 0) -> nn.Module:
    seed_everything(seed)
    return module.build(module.Config.tiny().with_vocabulary(module.vocabulary(PROTOCOLS)))


def setting(name: str, contract: str) -> tuple[ModuleType, Batch]:
    """The module and its batch, unless its card says why the contract does not apply."""
    module = paradigm(name)
    if contract in module.CARD.exempt:
        pytest.skip(module.CARD.exempt[contract])
    return module, batch_of(module, phantom((16, 16, 16), (3.0, 3.0, 3.0)))


@cache
def trained(name: str) -> nn.Module:
    """The tiny network after its own fixed recipe on the phantom."""
    module, batch = setting(name, "overfits")
    config = module.Config.tiny()
    recipe = FitConfig(
        steps=config.steps, lr=config.lr, weight_decay=config.weight_decay, prefetch=0
    )
    model = tiny(module)
    losses_of(fit(model, module.step, lambda i: batch, recipe))
    return model


def logits_of(module: ModuleType, model: nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """One step's loss and the maps of logits it was computed from, whose gradients are kept."""
    maps: list[Tensor] = []

    def keep(_model: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        maps.extend(output if isinstance(output, tuple) else (output,))

    hook = model.register_forward_hook(keep)
    loss = module.step(model, batch)
    hook.remove()
    for logits in maps:
        logits.retain_grad()
    return loss, maps


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_every_paradigm_file_is_in_the_table() -> None:
    spec = find_spec(paradigms.__name__)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    files = {path for path in root.glob("*/*.py") if not path.name.startswith("_")}
    systems = {
        f"fmtutor.paradigms.{path.parent.name}.{path.stem}"
        for path in files
        if "def build(" in path.read_text()
    }
    assert systems == set(PARADIGMS.values())


@every_system
def test_it_offers_the_named_things(name: str) -> None:
    module = paradigm(name)
    for thing in ("Config", "vocabulary", "build", "step", "predict"):
        assert callable(getattr(module, thing)), thing
    assert isinstance(module.CARD, Card)
    assert set(module.CARD.exempt) <= CONTRACTS
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
def test_logits_have_a_channel_per_class(name: str) -> None:
    module, batch = setting(name, "shapes")
    _, maps = logits_of(module, tiny(module), batch)
    assert maps[0].shape[2:] == batch.image.shape[2:]
    assert all(logits.shape[0] == 2 for logits in maps)
    assert all(logits.shape[1] >= batch.target.shape[1] for logits in maps)


@every_system
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    module, batch = setting(name, "seed")
    runs = []
    for seed in (5, 5, 6):
        model = tiny(module, seed)
        for _ in fit(model, module.step, lambda i: batch, FitConfig(steps=2, prefetch=0)):
            pass
        runs.append(model.state_dict())
    same, again, other = runs
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert not all(torch.equal(same[key], other[key]) for key in same)


@every_system
def test_a_checkpoint_round_trip_changes_no_output(name: str, tmp_path: Path) -> None:
    module, batch = setting(name, "checkpoint")
    first, second = tiny(module, 1), tiny(module, 2)
    save_weights(first, tmp_path / "model.safetensors")
    before = float(module.step(second, batch).detach())
    load_weights(second, tmp_path / "model.safetensors")
    expected = float(module.step(first, batch).detach())
    assert float(module.step(second, batch).detach()) == expected != before


@every_system
def test_it_overfits_one_case_from_labels_that_are_each_partial(name: str) -> None:
    module, _ = setting(name, "overfits")
    case = phantom((16, 16, 16), (3.0, 3.0, 3.0))
    prediction = module.predict(trained(name), case, Classes(("liver", "spleen")))
    assert prediction.names == ("liver", "spleen")
    for structure in prediction.names:
        assert dice(prediction.mask(structure), case.mask(structure)) > 0.9, structure


@every_system
def test_an_unknown_class_gets_exactly_zero_gradient(name: str) -> None:
    module, batch = setting(name, "zero_gradient")
    loss, maps = logits_of(module, tiny(module), batch)
    loss.backward()
    for logits in maps:
        assert logits.grad is not None
        largest = logits.grad[:, : batch.known.shape[1]].abs().amax((2, 3, 4))
        assert bool((largest[~batch.known] == 0).all())
        assert bool((largest[batch.known] > 0).all())


@every_system
def test_the_target_of_an_unknown_class_is_not_read(name: str) -> None:
    module, batch = setting(name, "zero_gradient")
    filled = replace(batch, target=batch.target | ~batch.known[:, :, None, None, None])
    model = tiny(module)
    assert float(module.step(model, batch).detach()) == float(module.step(model, filled).detach())


@every_system
def test_parameters_private_to_an_unknown_class_get_no_gradient(name: str) -> None:
    """Private: a change moves this class's logits and no others (found by differentiation)."""
    module, batch = setting(name, "zero_gradient")
    model = tiny(module)
    parameters = list(model.parameters())
    unknown = 1
    only_first = replace(
        batch, **{k: getattr(batch, k)[[0, 0]] for k in ("target", "known", "task")}
    )
    assert not bool(only_first.known[:, unknown].any())

    def reach(keep: Callable[[Tensor], Tensor]) -> list[Tensor]:
        _, maps = logits_of(module, model, batch)  # both tasks, so that every part is used
        total = sum((keep(logits) ** 2).sum() for logits in maps)
        return torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)  # type: ignore[arg-type]

    own = reach(lambda logits: logits[:, unknown])
    others = reach(lambda logits: torch.cat([logits[:, :unknown], logits[:, unknown + 1 :]], 1))
    private = [(a != 0) & (b == 0) for a, b in zip(own, others, strict=True)]
    assert sum(int(mask.sum()) for mask in private) > 0

    loss = module.step(model, only_first)
    grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    assert any(bool((grad != 0).any()) for grad in grads)
    assert all(bool((grad[mask] == 0).all()) for grad, mask in zip(grads, private, strict=True))


@every_system
def test_nothing_known_gives_loss_zero_and_moves_nothing(name: str) -> None:
    module, batch = setting(name, "nothing_known")
    nothing = replace(
        batch, known=torch.zeros_like(batch.known), target=torch.zeros_like(batch.target)
    )
    model = tiny(module)
    loss = module.step(model, nothing)
    assert float(loss.detach()) == 0.0
    loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool((grad == 0).all()) for grad in grads)


def test_the_naive_loss_breaks_the_zero_gradient_contract() -> None:
    with pytest.raises(CheckFailedError, match="exactly zero gradient"):
        check_unknown_gets_zero_gradient(naive_loss)


@every_system
def test_a_class_or_an_ask_it_does_not_know_is_one_clear_error(name: str) -> None:
    module, _ = setting(name, "grid")
    case, model = phantom((16, 16, 16), (3.0, 3.0, 3.0)), tiny(module)
    with pytest.raises(ValueError, match=r"unknown class.*'lever'.*liver"):
        module.predict(model, case, Classes(("lever",)))
    with pytest.raises(ValueError, match="cannot answer Text"):
        module.predict(model, case, Text("the liver"))


@every_system
def test_an_anisotropic_case_that_is_not_ras_is_answered_on_its_own_grid(
    name: str, tmp_path: Path
) -> None:
    module, _ = setting(name, "grid")
    fine = phantom((24, 16, 32), (2.0, 3.0, 1.5))
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("SLP")
    )
    stored = {}
    for kind, array in (("image", fine.image), ("labels", fine.labels)):
        stored[kind] = nib.Nifti1Image(array, fine.affine).as_reoriented(turn)
        nib.save(stored[kind], tmp_path / f"{kind}.nii.gz")
    case = read_nifti(tmp_path / "image.nii.gz")
    prediction = module.predict(trained(name), case, Classes(("liver", "spleen")))
    prediction.save(tmp_path / "answer.nii.gz")
    answer = nib.load(tmp_path / "answer.nii.gz")
    truth = np.asarray(stored["labels"].dataobj)
    assert answer.shape == truth.shape
    assert np.array_equal(answer.affine, stored["image"].affine)
    for number in TABLE:
        assert dice(np.asarray(answer.dataobj) == number, truth == number) > 0.85


@every_system
def test_without_names_it_answers_every_class(name: str) -> None:
    module, _ = setting(name, "grid")
    prediction = module.predict(trained(name), phantom((16, 16, 16), (3.0,) * 3), Classes())
    assert prediction.classes == module.vocabulary(PROTOCOLS).names


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_system
def test_it_trains_and_predicts_on_a_gpu(name: str, precision: str) -> None:
    module, batch = setting(name, "overfits")
    config = module.Config.tiny()
    recipe = FitConfig(steps=config.steps, lr=config.lr, precision=precision, prefetch=0)  # type: ignore[arg-type]
    model = tiny(module)
    losses = [record.loss for record in fit(model, module.step, lambda i: batch, recipe)]
    assert next(model.parameters()).is_cuda
    assert losses[-1] < 0.5 * losses[0]
    case = phantom((16, 16, 16), (3.0, 3.0, 3.0))
    prediction = module.predict(model, case, Classes(("liver",)))
    assert dice(prediction.mask("liver"), case.mask("liver")) > 0.9


@every_system
def test_the_recipe_of_the_contracts_is_small(name: str) -> None:
    module, batch = setting(name, "overfits")
    model = tiny(module)
    check_that_a_training_is_small(lambda: module.step(model, batch), module.Config.tiny().steps)
