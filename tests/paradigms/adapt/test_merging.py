"""Merging: no added layer is left and the logits are the same, or one clear error."""

from functools import cache

import pytest
import torch
from torch import nn

from fmtutor.core.seeds import seed_everything
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import small_swin_unetr
from fmtutor.nets.wrapping import wrappers_of
from fmtutor.paradigms.adapt.merging import merge
from fmtutor.paradigms.adapt.network import FewShotNet, Kind
from fmtutor.paradigms.adapt.spec import Spec, adapted

SIDES: dict[Kind, tuple[int, int, int]] = {"swin": (64, 32, 32), "unet": (16, 16, 16)}
LINEAR: list[tuple[Kind, str]] = [
    ("swin", "lora"),
    ("swin", "dora"),
    ("swin", "arena"),
    ("swin", "conv_lora"),
    ("swin", "ssf"),
    ("unet", "conv_lora"),
    ("unet", "ssf"),
    ("unet", "cnn_adapter"),
]
NOT_LINEAR: list[tuple[Kind, str, str]] = [
    ("swin", "adaptformer", "ParallelBottleneck"),
    ("unet", "residual_adapter", "ResidualBottleneck"),
    ("unet", "spatial_adapter", "FeatureAdapter behind the backbone"),
    ("unet", "mlp_adapter", "FeatureAdapter behind the backbone"),
]


@cache
def base(kind: Kind) -> nn.Module:
    seed_everything(0)
    net = small_swin_unetr(feature_size=12) if kind == "swin" else GenesisUNet(width=4)
    return net.eval()


def moved(method: str, kind: Kind) -> FewShotNet:
    """The method as if trained."""
    net = adapted(base(kind), Spec(method=method))
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p += 0.05 * torch.randn_like(p)
    return net.eval()


def logits(net: nn.Module, kind: Kind) -> torch.Tensor:
    seed_everything(1)
    with torch.no_grad():
        return net(torch.rand(1, 1, *SIDES[kind]))


@pytest.mark.parametrize(("kind", "method"), LINEAR)
def test_a_linear_change_folds_in(kind: Kind, method: str) -> None:
    net = moved(method, kind)
    added = set(wrappers_of(net))
    plain = merge(net)
    assert set(wrappers_of(net)) == added
    assert wrappers_of(plain) == []
    names = {name for name, _ in plain.named_parameters()}
    missing = {name for name, _ in FewShotNet(base(kind)).named_parameters()} - names
    assert missing == set()
    assert method == "ssf" or len(names) == len(list(FewShotNet(base(kind)).parameters()))
    expected = logits(net, kind)
    scale = max(1.0, float(expected.abs().max()))
    assert float((logits(plain, kind) - expected).abs().max()) < 1e-5 * scale
    if method != "cnn_adapter":
        at_start = adapted(base(kind), Spec(method="linear_probe")).backbone
        assert not torch.allclose(at_start(_image(kind)), net.backbone(_image(kind)), atol=1e-3)


@pytest.mark.parametrize(("kind", "method", "what"), NOT_LINEAR)
def test_what_is_not_linear_is_refused(kind: Kind, method: str, what: str) -> None:
    net = moved(method, kind)
    before = logits(net, kind)
    with pytest.raises(ValueError, match=f"only a linear change folds .* got a {what}"):
        merge(net)
    assert torch.equal(logits(net, kind), before)


@pytest.mark.parametrize("method", ["linear_probe", "bitfit", "decoder_fine_tune"])
def test_a_method_that_adds_nothing_is_copied(method: str) -> None:
    net = moved(method, "unet")
    plain = merge(net)
    assert torch.equal(logits(plain, "unet"), logits(net, "unet"))
    assert not any(p.requires_grad for p in plain.parameters())


def _image(kind: Kind) -> torch.Tensor:
    seed_everything(1)
    return torch.rand(1, 1, *SIDES[kind])
