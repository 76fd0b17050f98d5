"""Published checkpoints onto our modules, strictly: every tensor is matched, or the load fails.

A checkpoint is accepted in the layout its authors publish. Only tensors and plain values are
unpickled (``weights_only=True``): a weight file is data from the internet, and a pickle can run
code. Nothing is downloaded here; the reader fetches a file under its authors' licence.
"""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fmtutor.core.tables import lookup
from fmtutor.hub.entry import Published
from fmtutor.hub.layouts import PUBLISHED, slots_of
from fmtutor.hub.report import Report, compare
from fmtutor.hub.stand_ins import stepping_over

CONTAINERS = ("net", "state_dict", "model", "model_state_dict")
"""Entries under which authors keep the tensors; a file of bare tensors is accepted too."""

PREFIXES = ("module.", "backbone.")
"""What wrappers put before a name: DataParallel, and systems that call their network so."""

CONVERTED = "published"
"""Entry in the header of a file that `fmtutor.hub.convert` made: the published name."""

READ_ERRORS = (
    RuntimeError, EOFError, ValueError, KeyError, pickle.PickleError, SafetensorError,
)  # fmt: skip
"""What torch and safetensors raise on files that are damaged or of another kind."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a checkpoint file holds."""

    tensors: dict[str, Tensor]
    """The named tensors, as named there."""
    beside: tuple[str, ...] = ()
    """Other entries (optimizer, scheduler, epoch), which are ignored."""
    converted: str = ""
    """Published name, if `fmtutor.hub.convert` made the file; its names are ours then."""


def load(name: str, path: str | Path) -> nn.Module:
    """Build the module of a published checkpoint and load it.

    Args:
        name: One of `PUBLISHED`, such as "medicalnet-10".
        path: The file as its authors publish it (``resnet_10_23dataset.pth``), or what
            ``fmtutor weights convert`` made of it.

    Returns:
        The module in evaluation mode, every tensor of it from the file: the whole system where we
        have it (its configuration is ``module.config``), else the backbone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name is unknown, the file holds more than tensors and plain values, or a
            tensor is missing, unexpected or of another shape; all that differs is said at once,
            and which published checkpoint the file is, where it is a known one.

    Example:
        >>> encoder = load("medicalnet-10", "resnet_10.pth")  # doctest: +SKIP
    """
    found, report = _matched(name, path)
    if not report.ok:
        raise ValueError(f"{report.text(most=20)}\nGet the file from {PUBLISHED[name].source}.")
    module = PUBLISHED[name].build()
    own = module.state_dict()  # stands in for step counters alone: nothing else may be missing
    arrived = {ours: found[key].reshape(own[ours].shape) for key, ours in report.names.items()}
    module.load_state_dict(own | arrived)
    return module.eval()


def check(name: str, path: str | Path) -> Report:
    """Compare a file with a published layout, tensor by tensor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name is unknown, or the file is no checkpoint of tensors.
    """
    return _matched(name, path)[1]


def _matched(name: str, path: str | Path) -> tuple[dict[str, Tensor], Report]:
    """Return the tensors of the file, and how they compare with the layout."""
    entry = lookup(PUBLISHED, name, "published checkpoint")
    content = read(path, entry)
    converted = content.converted == name
    found = content.tensors if converted else named(content.tensors)
    dropped = () if converted else entry.dropped
    left_out = [key for key in found if key.startswith(dropped)] if dropped else []
    found = {key: value for key, value in found.items() if key not in left_out}
    report = compare(
        name,
        slots_of(name, converted=converted),
        found,
        file=Path(path).name,
        ignored=(*content.beside, *left_out),
        converted=content.converted,
    )
    return found, report


def read(path: str | Path, entry: Published) -> Content:
    """Read the named tensors of a checkpoint file onto the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a checkpoint of tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; get it from {entry.source} ({entry.licence}).")
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        # Memory-mapped, so that optimizer states twice the size of the network are never read.
        mapped = zipfile.is_zipfile(path)
        with stepping_over(entry.skipped):
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except READ_ERRORS as error:
        raise ValueError(
            f"{path.name} must be a checkpoint of tensors and plain values, but it is damaged or "
            f"holds other objects ({str(error).splitlines()[0]}); get it from {entry.source}."
        ) from error
    beside: tuple[str, ...] = ()
    if isinstance(content, Mapping):
        inner = next((key for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inner is not None:
            beside = tuple(str(key) for key in content if key != inner)
            content = content[inner]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(
            f"{path.name} must hold named tensors, alone or under {' or '.join(CONTAINERS)}, got "
            f"{type(content).__name__}; get it from {entry.source}."
        )
    return Content(tensors=dict(content), beside=beside)


def _read_safetensors(path: Path) -> Content:
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata() or {}
    return Content(tensors=tensors, converted=header.get(CONVERTED, ""))


def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the wrappers' prefixes off the names, each name by itself.

    Raises:
        ValueError: Two tensors have the same name without their prefixes.
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = name
        for prefix in PREFIXES:
            short = short.removeprefix(prefix)
        if short in plain:
            raise ValueError(
                f"names must differ without {' and '.join(PREFIXES)}, but two of them are "
                f"{short!r}; the file holds two networks: save the one that is meant."
            )
        plain[short] = tensor
    return plain
