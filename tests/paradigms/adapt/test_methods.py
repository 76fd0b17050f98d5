"""What single methods say of themselves: dead biases, the position tables, ranks that vanish."""

import torch
from peft.tuners.lora import LoraLayer

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import small_swin_unetr
from fmtutor.paradigms.adapt.arena import PENALTY, RANK, surviving_ranks
from fmtutor.paradigms.adapt.spec import Spec, adapted, groups, set_modes


def trained_names(method: str, preset: str) -> set[str]:
    net = adapted(small_swin_unetr(), Spec(method=method, preset=preset))  # type: ignore[arg-type]
    return {name for name, p in net.named_parameters() if p.requires_grad}


def test_the_published_bitfit_trains_the_tables_of_positions() -> None:
    faithful, corrected = trained_names("bitfit", "faithful"), trained_names("bitfit", "corrected")
    tables = faithful - corrected
    assert corrected < faithful
    assert len(tables) == 8
    assert all(name.endswith("relative_position_bias_table") for name in tables)
    assert all(name.endswith(".bias") for name in corrected - {"classifier.weight"})


def test_biases_of_convolutions_before_a_batch_norm_do_nothing() -> None:
    spec = Spec(method="bitfit")
    net = adapted(GenesisUNet(width=4), spec).double()
    set_modes(net, spec)
    image = torch.rand(1, 1, 16, 16, 16, generator=torch_rng("biases"))
    net(image.double()).square().mean().backward()
    grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    dead = max(float(g.abs().max()) for n, g in grads.items() if n.endswith("conv1.bias"))
    alive = min(float(g.abs().max()) for n, g in grads.items() if n.endswith("bn1.bias"))
    assert dead < 1e-9 * alive


def test_a_head_with_a_rate_of_its_own_has_a_factor_of_its_own() -> None:
    rates = {}
    for preset in ("faithful", "corrected"):
        spec = Spec(method="lora", preset=preset)  # type: ignore[arg-type]
        parts = groups(adapted(small_swin_unetr(), spec), spec, scale=30.0, head_scale=10.0)
        rates[preset] = [round(part["lr"], 6) for part in parts]
    assert rates == {"faithful": [0.03, 0.03], "corrected": [0.1, 0.03]}


def test_what_a_row_trains_is_its_scope() -> None:
    scopes = {
        ("linear_probe", False): "head", ("spatial_adapter", False): "head",
        ("zero_shot", False): "head", ("lora", False): "inside", ("last_block", False): "inside",
        ("lora", True): "decoder", ("decoder_fine_tune", False): "decoder",
        ("full_fine_tune", False): "decoder",
    }  # fmt: skip
    for (method, decoder), scope in scopes.items():
        assert Spec(method=method, decoder=decoder).scope == scope


def test_lora_has_rank_12_and_a_factor_of_1() -> None:
    net = adapted(small_swin_unetr(), Spec(method="lora"))
    layers = [module for module in net.modules() if isinstance(module, LoraLayer)]
    assert len(layers) == 8
    assert {(layer.r["default"], layer.scaling["default"]) for layer in layers} == {(12, 1.0)}


def test_arena_loses_directions_that_the_loss_does_not_hold() -> None:
    spec = Spec(method="arena")
    net = adapted(small_swin_unetr(), spec)
    assert set(surviving_ranks(net).values()) == {RANK}
    assert len(surviving_ranks(net)) == 8
    name = next(iter(surviving_ranks(net)))
    layer = net.get_submodule(name)
    with torch.no_grad():
        layer.low_rank_v[:5] = 0.5 * PENALTY
    spec.how.after_step(net, 1.0)
    ranks = surviving_ranks(net)
    assert ranks.pop(name) <= RANK - 5
