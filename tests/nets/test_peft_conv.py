"""Where peft's LoRA on 3D convolutions is sound, and each of its gaps.

Every gap is shown on peft itself: when a release mends one, its test fails, and `peft_gap` can let
the layer through.
"""

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from fmtutor.nets.peft_conv import add_peft_lora, peft_gap

X = torch.randn(1, 4, 6, 6, 6)


def injected(conv: nn.Module) -> nn.Module:
    """The convolution with peft's LoRA, trained."""
    config = LoraConfig(r=2, lora_alpha=2, target_modules=["0"])
    layer = inject_adapter_in_model(config, nn.Sequential(conv))[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": "same", "bias": False},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (1, 3, 3), "padding": (0, 1, 1)},
    ],
)
def test_elsewhere_it_starts_as_the_layer_and_merges_exactly(options: dict) -> None:
    net = nn.Sequential(nn.Conv3d(4, 4, **options))
    before = net(X)
    add_peft_lora(net, ["0"], 2)
    assert torch.equal(net(X), before)
    nn.init.normal_(net[0].lora_B["default"].weight)
    changed = net(X)
    assert not torch.allclose(changed, before, atol=0.1)
    net[0].merge()
    assert torch.allclose(net[0].get_base_layer()(X), changed, atol=1e-4)


GAPS = {
    "pointwise": nn.Conv3d(4, 4, 1),
    "flat": nn.Conv3d(4, 4, (1, 1, 3), padding=(0, 0, 1)),
    "dilation": nn.Conv3d(4, 4, 3, padding="same", dilation=2),
    "padding mode": nn.Conv3d(4, 4, 3, padding=1, padding_mode="reflect"),
    "groups": nn.Conv3d(4, 4, 3, padding=1, groups=2),
    "transposed": nn.ConvTranspose3d(4, 4, 2, stride=2),
    "linear": nn.Linear(4, 4),
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_gap_is_refused_and_nothing_changed(gap: str) -> None:
    net = nn.Sequential(nn.Conv3d(4, 4, 3, padding=1), GAPS[gap])
    with pytest.raises(ValueError, match=r"peft's LoRA does not fit '1': .*; use"):
        add_peft_lora(net, ["0", "1"], 2)
    assert peft_gap(net[1])
    assert not peft_gap(net[0])
    assert isinstance(net[0], nn.Conv3d)


@pytest.mark.parametrize("gap", ["pointwise", "flat"])
def test_peft_cannot_merge_a_kernel_of_one_by_one(gap: str) -> None:
    layer = injected(GAPS[gap])
    layer(X)
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        layer.merge()


def test_peft_leaves_out_the_dilation() -> None:
    layer = injected(nn.Conv3d(4, 4, 3, padding=2, dilation=2))
    with pytest.raises(RuntimeError, match="must match the size"):
        layer(X)


def test_peft_merges_another_layer_when_padding_is_not_zeros() -> None:
    layer = injected(nn.Conv3d(4, 4, 3, padding=1, padding_mode="reflect"))
    changed = layer(X)
    layer.merge()
    assert not torch.allclose(layer(X), changed, atol=0.1)


def test_peft_cannot_merge_groups() -> None:
    layer = injected(nn.Conv3d(4, 4, 3, padding=1, groups=2))
    with pytest.raises((NotImplementedError, RuntimeError, ValueError)):
        layer.merge()


def test_peft_takes_no_transposed_convolution() -> None:
    with pytest.raises(ValueError, match="not supported"):
        injected(nn.ConvTranspose3d(4, 4, 2, stride=2))
