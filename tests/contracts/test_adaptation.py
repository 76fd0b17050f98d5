"""What every method of few-shot adaptation promises, on both backbones (DESIGN 12).

The phantom: one bright ellipsoid in noise. The networks are the smallest of their kind, with random
weights: enough to see what moves, what stays, and that the loss falls.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fmtutor.core.card import Card
from fmtutor.core.devices import autocast
from fmtutor.core.seeds import seed_everything, torch_rng
from fmtutor.engine.features import hash_of_weights
from fmtutor.losses.dice import dice_loss
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import small_swin_unetr
from fmtutor.paradigms.adapt import METHODS, adaptation
from fmtutor.paradigms.adapt.ledger import ledger_rows
from fmtutor.paradigms.adapt.network import FewShotNet, Kind
from fmtutor.paradigms.adapt.spec import Spec, adapted, groups, set_modes

SIDES: dict[Kind, tuple[int, int, int]] = {"swin": (64, 32, 32), "unet": (16, 16, 16)}
STEPS: dict[Kind, int] = {"swin": 2, "unet": 8}

PLACES = [(name, kind) for name in METHODS for kind in adaptation(name).kinds]
TRAINED = [(name, kind) for name, kind in PLACES if adaptation(name).family != "none"]

every_place = pytest.mark.parametrize(("name", "kind"), PLACES)
every_trained = pytest.mark.parametrize(("name", "kind"), TRAINED)


@cache
def base(kind: Kind) -> nn.Module:
    seed_everything(0)
    net = small_swin_unetr(feature_size=12) if kind == "swin" else GenesisUNet(width=4)
    return net.eval()


@cache
def phantom(kind: Kind) -> tuple[Tensor, Tensor]:
    """An image (1, 1, H, W, D) and its target."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SIDES[kind]), indexing="ij")
    target = sum(axis**2 for axis in axes)[None, None] < 0.6
    noise = torch.rand(target.shape, generator=torch_rng("phantom"))
    return 0.6 * target + 0.3 * noise, target


@cache
def base_features(kind: Kind) -> Tensor:
    with torch.no_grad():
        return base(kind)(phantom(kind)[0])


def row(kind: Kind) -> tuple[Tensor, Tensor]:
    """A base's head for the structure."""
    drawn = torch.randn(base(kind).out_channels, generator=torch_rng("row"))
    return drawn, torch.tensor(-1.0)


def start(spec: Spec, kind: Kind, seed: int = 0) -> FewShotNet:
    seed_everything(seed)
    return adapted(base(kind), spec, row=row(kind))


def step(net: FewShotNet, spec: Spec, optimiser: torch.optim.Optimizer, kind: Kind) -> float:
    image, target = phantom(kind)
    set_modes(net, spec)
    loss = dice_loss(net(image).sigmoid(), target, smooth="both")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    spec.how.after_step(net, optimiser.param_groups[-1]["lr"])
    return float(loss.detach())


@dataclass(frozen=True, kw_only=True)
class Training:
    net: FewShotNet
    before: dict[str, Tensor]
    losses: list[float]


@cache
def training(name: str, kind: Kind) -> Training:
    """The method on the phantom, for a few steps."""
    spec = Spec(method=name)
    net = start(spec, kind)
    before = copy.deepcopy(net.state_dict())
    optimiser = torch.optim.AdamW(groups(net, spec), weight_decay=0)
    losses = [step(net, spec, optimiser, kind) for _ in range(STEPS[kind])]
    return Training(net=net, before=before, losses=losses)


def check_that_it_moves_what_it_trains_and_nothing_else(name: str, kind: Kind) -> None:
    run, spec = training(name, kind), Spec(method=name)
    after = run.net.state_dict()
    changed = {key for key, value in run.before.items() if not torch.equal(value, after[key])}
    trainable = {key for key, p in run.net.named_parameters() if p.requires_grad}
    modules = tuple(spec.how.train_mode(run.net))
    buffers = {key for key, _ in run.net.named_buffers() if key.startswith(modules)}
    assert changed <= trainable | (buffers if modules else set())
    assert {"classifier.weight", "classifier.bias"} <= changed
    if trainable - {"classifier.weight", "classifier.bias"}:
        assert changed & (trainable - {"classifier.weight", "classifier.bias"})
    if spec.how.black_box:
        assert hash_of_weights(run.net.backbone) == hash_of_weights(base(kind))


def check_that_the_loss_falls(name: str, kind: Kind) -> None:
    losses = training(name, kind).losses
    assert losses[-1] < losses[0]


def check_that_it_starts_as_the_base(name: str, kind: Kind) -> None:
    net = start(Spec(method=name, preset="corrected"), kind).eval()
    image, _ = phantom(kind)
    with torch.no_grad():
        features = net.adapter(net.backbone(image))
        assert torch.equal(features, base_features(kind))
        weight, bias = row(kind)
        logits = torch.einsum("behwd,e->bhwd", features, weight)[:, None] + bias
        assert torch.allclose(net.classifier(features), logits, atol=1e-4)


def check_that_the_seed_is_the_start(name: str, kind: Kind) -> None:
    spec = Spec(method=name)
    one, same, other = (hash_of_weights(start(spec, kind, seed)) for seed in (1, 1, 2))
    assert one == same
    assert (one == other) == (spec.how.family == "none")


def check_the_decoder(name: str, kind: Kind) -> None:
    if not adaptation(name).stacks_on_decoder:
        with pytest.raises(ValueError, match=f"{name} does not stack on a trained decoder"):
            Spec(method=name, decoder=True)
        return
    alone, both = (start(Spec(method=name, decoder=flag), kind) for flag in (False, True))
    trained = [{n for n, p in net.named_parameters() if p.requires_grad} for net in (alone, both)]
    more = trained[1] - trained[0]
    assert trained[0] <= trained[1]
    prefixes = tuple(f"backbone.{part}." for part in base(kind).decoder_names)
    assert more
    assert all(key.startswith(prefixes) for key in more)
    inside = {key for key, _ in both.named_parameters() if key.startswith(prefixes)}
    assert inside <= trained[1]


CHECKS: tuple[Callable[[str, Kind], None], ...] = (
    check_that_it_moves_what_it_trains_and_nothing_else,
    check_that_the_loss_falls,
    check_that_it_starts_as_the_base,
    check_that_the_seed_is_the_start,
    check_the_decoder,
)


@every_trained
def test_it_moves_what_it_trains_and_nothing_else(name: str, kind: Kind) -> None:
    check_that_it_moves_what_it_trains_and_nothing_else(name, kind)


@every_trained
def test_the_loss_falls(name: str, kind: Kind) -> None:
    check_that_the_loss_falls(name, kind)


@every_place
def test_it_starts_as_the_base(name: str, kind: Kind) -> None:
    check_that_it_starts_as_the_base(name, kind)


@every_place
def test_the_seed_is_the_start(name: str, kind: Kind) -> None:
    check_that_the_seed_is_the_start(name, kind)


@every_place
def test_the_decoder_is_trained_too_or_refused(name: str, kind: Kind) -> None:
    check_the_decoder(name, kind)


@pytest.mark.parametrize("name", METHODS)
def test_the_card_is_filled_in(name: str) -> None:
    how = adaptation(name)
    assert (how.name, isinstance(how.card, Card)) == (name, True)
    assert how.card.paper.startswith("https://")
    assert how.card.code == "none" or how.card.code.startswith("https://")
    assert how.card.deviations
    assert how.card.notebook in {"12", "13"}
    assert how.title


def test_zero_shot_is_the_head_of_the_base() -> None:
    net = start(Spec(method="zero_shot"), "unet")
    assert not any(p.requires_grad for p in net.parameters())
    assert torch.equal(net.classifier.weight.flatten(), row("unet")[0])
    with pytest.raises(ValueError, match="no class of this structure"):
        adapted(base("unet"), Spec(method="zero_shot"))


def test_a_method_without_a_place_in_a_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lora is placed in \('swin',\), got .*'unet'"):
        adapted(base("unet"), Spec(method="lora"))


def test_the_published_cnn_adapter_does_not_start_as_the_base() -> None:
    net = start(Spec(method="cnn_adapter"), "unet").eval()
    with torch.no_grad():
        features = net.backbone(phantom("unet")[0])
    assert (features - base_features("unet")).abs().mean() > 0.1 * base_features("unet").std()


TOY = '''
"""Toy: one scale on all features."""

import dataclasses

import torch
from torch import nn

from fmtutor.paradigms.adapt.linear_probe import METHOD as PROBE


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.factor


def insert(net, preset):
    net.adapter = Scale()


METHOD = dataclasses.replace(
    PROBE, name="toy", title="Toy", insert=insert, trained=lambda net, preset: ("adapter",)
)
'''


@pytest.mark.parametrize("kind", ["swin", "unet"])
def test_a_method_joins_by_one_file_and_one_line(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_method_of_a_test.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METHODS, "toy", "toy_method_of_a_test")
    toy = ledger_rows(base(kind))[-1]
    assert (toy.title, toy.trained) == ("Toy", base(kind).out_channels + 2)
    for check in CHECKS:
        check("toy", kind)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_trained
def test_it_trains_on_a_gpu(name: str, kind: Kind, precision: str) -> None:
    spec = Spec(method=name, preset="corrected")
    net = start(spec, kind).cuda()
    optimiser = torch.optim.AdamW(groups(net, spec), weight_decay=0)
    image, target = (tensor.cuda() for tensor in phantom(kind))
    losses = []
    for _ in range(5):
        set_modes(net, spec)
        with autocast(precision, "cuda"):  # type: ignore[arg-type]
            logits = net(image)
        loss = dice_loss(logits.float().sigmoid(), target, smooth="both")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        spec.how.after_step(net, optimiser.param_groups[-1]["lr"])
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
