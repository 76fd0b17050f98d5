"""Folding what was trained into the layers of the base: a network as fast as before.

LoRA, DoRA, Conv-LoRA, ARENA, SSF and the CNN adapter change layers in a way that the layers
themselves can hold. Black-box adapters, AdaptFormer and residual adapters have a ReLU between, and
stay.
"""

import copy

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from fmtutor.nets.wrapping import merge_wrappers, wrap, wrappers_of
from fmtutor.paradigms.adapt.network import FewShotNet


def merge(net: FewShotNet) -> FewShotNet:
    """Return a frozen copy without added layers that gives the same logits.

    Args:
        net: An adapted network; it stays as it is. One whose method adds nothing is copied.

    Raises:
        ValueError: What was added is not linear.
    """
    if not isinstance(net.adapter, nn.Identity):
        raise ValueError(
            f"only a linear change folds into a layer, got a {type(net.adapter).__name__} behind "
            "the backbone; keep the network as it is."
        )
    net = copy.deepcopy(net).eval().requires_grad_(False)
    wrap(net, peft_layers(net), base_with_change)
    if hasattr(net, "peft_config"):
        del net.peft_config
    merge_wrappers(net)
    return net


def peft_layers(net: nn.Module) -> list[str]:
    """Return the names of the wrappers that are peft's."""
    return [n for n in wrappers_of(net) if isinstance(net.get_submodule(n), BaseTunerLayer)]


def base_with_change(layer: BaseTunerLayer) -> nn.Module:
    """Return the base layer of a layer of peft, with the change in it."""
    layer.merge()
    return layer.get_base_layer()
