"""New layers around the layers of a network: put in by name, and folded in again where they can be.

A wrapper holds the layer that it was put around as ``base_layer``, as the library `peft` does. One
whose effect is a change of the base layer's weights has a method ``merged``, which returns that
layer; a wrapper that is not linear has none.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

Types = type[nn.Module] | tuple[type[nn.Module], ...]


def names_of(model: nn.Module, types: Types, *, under: Iterable[str] = ("",)) -> list[str]:
    """Return the dotted names of the layers of some types, in order of definition.

    Args:
        model: A network without wrappers.
        types: Types of the layers.
        under: Modules to look in; "" is the whole network.
    """
    found = []
    for part in under:
        for name, module in model.get_submodule(part).named_modules(prefix=part):
            if isinstance(module, types):
                found.append(name)
    return found


def wrap(model: nn.Module, names: Iterable[str], around: Callable[[Any], nn.Module]) -> None:
    """Put a new layer around each of the named ones.

    Args:
        model: Changed in place.
        names: Dotted names, as of `names_of`.
        around: The old layer to the new one, which takes its place.
    """
    for name in names:
        model.set_submodule(name, around(model.get_submodule(name)))


def wrappers_of(model: nn.Module) -> list[str]:
    """Return the dotted names of all wrappers, outer ones first."""
    return [name for name, module in model.named_modules() if hasattr(module, "base_layer")]


def merge_wrappers(model: nn.Module) -> None:
    """Put the merged layer in the place of each wrapper of ours.

    Args:
        model: Changed in place, unless the error is raised.

    Raises:
        ValueError: A wrapper cannot be merged.
    """
    names = wrappers_of(model)
    for name in names:
        module = model.get_submodule(name)
        if not hasattr(module, "merged"):
            raise ValueError(
                f"only a linear change folds into a layer, got a {type(module).__name__} at "
                f"{name!r}; keep the network as it is."
            )
    wrap(model, reversed(names), lambda module: module.merged())
