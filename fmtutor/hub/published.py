"""Published checkpoints onto our modules, strictly: every tensor is matched, or the load fails.

A checkpoint is accepted in the layout its authors publish. Only tensors and plain values are
unpickled (``weights_only=True``): a weight file is data from the internet, and a pickle can run
code. Nothing is downloaded here; the reader fetches a file under its authors' licence.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fmtutor.core.tables import lookup
from fmtutor.engine.checkpoint import mismatches
from fmtutor.nets.resnet3d import DEPTHS, ResNetEncoder

COUNTER = ".num_batches_tracked"
"""A batch norm's step counter: files from before torch 0.4.1 lack it, and no output needs it."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published checkpoint layout."""

    build: Callable[[], nn.Module]
    """Our module, with the very names of the checkpoint once its prefix is gone."""
    container: str
    """Entry of the file that holds the tensors; a file of bare tensors is accepted too."""
    prefix: str
    """What every name begins with (``module.`` where a DataParallel was saved)."""
    dropped: tuple[str, ...]
    """Beginnings of names that belong to a head we leave out on purpose."""
    source: str
    """Where its authors publish it."""
    licence: str
    """Licence of the weights."""


def _medicalnet(depth: int) -> Published:
    return Published(
        build=partial(ResNetEncoder, depth),
        container="state_dict",
        prefix="module.",
        dropped=("conv_seg.",),
        source="https://github.com/Tencent/MedicalNet",
        licence="MIT",
    )


PUBLISHED: dict[str, Published] = {f"medicalnet-{depth}": _medicalnet(depth) for depth in DEPTHS}
"""Published checkpoints by name; the 8- and the 23-dataset files share a layout."""


def load(name: str, path: str | Path) -> nn.Module:
    """Build the module of a published checkpoint and load it.

    Args:
        name: One of `PUBLISHED`, such as "medicalnet-10".
        path: The file as its authors publish it (``resnet_10_23dataset.pth``).

    Returns:
        The module in evaluation mode, every tensor of it from the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name is unknown, the file holds more than tensors and plain values, or a
            tensor is missing, unexpected or of another shape; all of them are listed.

    Example:
        >>> encoder = load("medicalnet-10", "resnet_10.pth")  # doctest: +SKIP
    """
    entry = lookup(PUBLISHED, name, "published checkpoint")
    module = entry.build()
    found = renamed(read_tensors(path, entry), entry)
    expected = module.state_dict()
    for key in expected:
        if key.endswith(COUNTER):
            found.setdefault(key, expected[key])
    if problems := mismatches(expected, found):
        matched = len(set(expected) & set(found))
        raise ValueError(
            f"{Path(path).name} must hold {name}, whose {len(expected)} tensors all match; "
            f"{matched} names do. {'; '.join(problems)}. Get the file from {entry.source}."
        )
    module.load_state_dict(found)
    return module.eval()


def read_tensors(path: str | Path, entry: Published) -> dict[str, Tensor]:
    """Read the named tensors of a checkpoint file onto the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a checkpoint of tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; get it from {entry.source} ({entry.licence}).")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.PickleError) as error:
        raise ValueError(
            f"{path.name} must be a checkpoint of tensors and plain values, but it is damaged or "
            f"holds other objects ({str(error).splitlines()[0]}); get it from {entry.source}."
        ) from error
    if isinstance(content, Mapping):
        content = content.get(entry.container, content)
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(
            f"{path.name} must hold named tensors, alone or under {entry.container!r}, got "
            f"{type(content).__name__}; get it from {entry.source}."
        )
    return dict(content)


def renamed(tensors: Mapping[str, Tensor], entry: Published) -> dict[str, Tensor]:
    """Take the prefix off, if every name has it, and leave out the heads that we drop."""
    wrapped = all(key.startswith(entry.prefix) for key in tensors)
    start = len(entry.prefix) if wrapped else 0
    names = {key[start:]: tensor for key, tensor in tensors.items()}
    return {key: value for key, value in names.items() if not key.startswith(entry.dropped)}
