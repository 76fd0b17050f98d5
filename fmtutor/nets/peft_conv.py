"""LoRA of the library `peft` on 3D convolutions, where it is sound.

Measured with peft 0.21.2: it takes 3D convolutions, is the base layer at the start and merges
exactly, but it has gaps. Some raise; one, padding other than zeros, gives a merged layer that is
not equal and says nothing. Each gap is refused here, and a test runs peft into each of them, so
that a release that mends one is noticed.
"""

from collections.abc import Sequence

from peft import LoraConfig, inject_adapter_in_model
from torch import nn


def peft_gap(layer: nn.Module) -> str:
    """Say why peft's LoRA is not sound on a layer; "" if it is.

    Args:
        layer: A 3D convolution or transposed convolution.
    """
    if isinstance(layer, nn.ConvTranspose3d):
        return "it takes no transposed convolution"
    if not isinstance(layer, nn.Conv3d):
        return "it is not a 3D convolution"
    if tuple(layer.kernel_size[:2]) == (1, 1):
        return f"it cannot merge a kernel of {tuple(layer.kernel_size)}"
    if any(step != 1 for step in layer.dilation):
        return "it leaves out the dilation"
    if layer.padding_mode != "zeros":
        return f"it pads with zeros, not {layer.padding_mode!r}, so its merged layer is another one"
    if layer.groups != 1:
        return "it cannot merge groups"
    return ""


def add_peft_lora(model: nn.Module, names: Sequence[str], rank: int) -> None:
    """Put peft's LoRA on named convolutions, with a factor of 1.

    Args:
        model: Changed in place.
        names: Dotted names of 3D convolutions.
        rank: Rank of the change.

    Raises:
        ValueError: peft is not sound on one of them; nothing is changed.
    """
    for name in names:
        if gap := peft_gap(model.get_submodule(name)):
            raise ValueError(
                f"peft's LoRA does not fit {name!r}: {gap}; use "
                "fmtutor.nets.conv_low_rank.with_low_rank for this layer."
            )
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(names)), model)
