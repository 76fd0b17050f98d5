"""Adapters as folders of kilobytes, beside one base that all of them share.

    liver_lora/
      adapter_model.safetensors    what was trained, in fp32, and nothing else
      fmtutor_adapter.json         method, structure, the base and a hash of it, versions
      adapter_config.json          of peft, where all that was added is peft's

An adapter fits only the weights that it was trained on, so it keeps a hash of them and is refused
on others. A folder with the third file opens with peft alone:
``PeftModel.from_pretrained(FewShotNet(backbone), folder)``.
"""

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.files import read_json, write_json
from fmtutor.engine.checkpoint import mismatches
from fmtutor.engine.features import hash_of_weights
from fmtutor.nets.wrapping import wrappers_of
from fmtutor.paradigms.adapt.merging import peft_layers
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, adapted, decoder_patterns

WEIGHTS, RECORD = "adapter_model.safetensors", "fmtutor_adapter.json"
PEFT_PREFIX = "base_model.model."
"""What peft puts before every name in its files; ours have it too."""
HEAD = f"{PEFT_PREFIX}classifier.weight"
"""Its first axis tells how many structures an adapter was taught."""


def versions_now() -> dict[str, str]:
    """Return the versions of the packages that a network depends on."""
    return {name: version(name) for name in ("fmtutor", "monai", "peft", "torch")}


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """What an adapter is, and what it fits."""

    spec: Spec
    """Method, decoder, preset."""
    structure: str
    """Structure that it was taught, or the name of a task with several."""
    base: str
    """Name of the base."""
    base_hash: str
    """`fmtutor.engine.features.hash_of_weights` of the base's backbone."""
    versions: dict[str, str] = field(default_factory=versions_now)
    """Packages that it was trained with."""


def save(net: FewShotNet, folder: str | Path, record: AdapterRecord) -> None:
    """Write an adapter; the folder is there whole or not at all.

    Args:
        net: A network of `adapted`, trained.
        folder: It replaces an adapter that is there already.
        record: What it is.

    Raises:
        ValueError: Nothing was trained.
    """
    tensors = trained_tensors(net, record.spec)
    if not tensors:
        raise ValueError(f"{record.spec.method} trains nothing, so there is no adapter to save.")
    with _whole_folder(Path(folder)) as part:
        save_file(tensors, part / WEIGHTS, metadata={"format": "pt"})
        write_json(part / RECORD, to_dict(record))
        if opens_with_peft(net):
            config = copy.copy(net.peft_config["default"])
            decoder = [name.split(".")[-1] for name in decoder_patterns(net)]
            config.modules_to_save = ["classifier", *(decoder if record.spec.decoder else [])]
            config.inference_mode = True
            config.save_pretrained(part)


def load(folder: str | Path, backbone: nn.Module) -> FewShotNet:
    """Return a network of a copy of the backbone with the adapter in it, ready to predict.

    Args:
        folder: One that `save` wrote.
        backbone: The base's, with the weights that the adapter was trained on; it stays as it is.

    Raises:
        ValueError: The folder holds no whole adapter, or one of another base.
    """
    record = read_record(folder)
    if (found := hash_of_weights(backbone)) != record.base_hash:
        raise ValueError(
            f"an adapter fits the base it was trained on, {record.base!r} with hash "
            f"{record.base_hash}, got a backbone with hash {found}; load {record.base!r}."
        )
    try:
        tensors = load_file(Path(folder) / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{WEIGHTS} is not readable ({error}); save the adapter anew.") from error
    head = tensors.get(HEAD)
    net = adapted(backbone, record.spec, outputs=1 if head is None else len(head))
    expected = trained_tensors(net, record.spec)
    if problems := mismatches(expected, tensors):
        raise ValueError(f"{WEIGHTS} holds another adapter: {'; '.join(problems)}.")
    state = {name: tensors[stored_name(name)] for name in _trained_names(net, record.spec)}
    net.load_state_dict(state, strict=False)
    return net.eval()


def read_record(folder: str | Path) -> AdapterRecord:
    """Read what an adapter is.

    Raises:
        ValueError: The folder holds no adapter.
    """
    try:
        return from_dict(AdapterRecord, read_json(Path(folder) / RECORD))
    except (OSError, json.JSONDecodeError, TypeError) as error:
        name = Path(folder).name
        raise ValueError(
            f"an adapter is a folder with {RECORD}, got {name!r} ({error}); save one there."
        ) from error


def list_adapters(root: str | Path) -> dict[Path, AdapterRecord]:
    """Return all adapters below a folder by their own folders, in order of name."""
    folders = sorted(path.parent for path in Path(root).rglob(RECORD))
    whole = [folder for folder in folders if not folder.name.startswith(".")]
    return {folder: read_record(folder) for folder in whole}


def trained_tensors(net: FewShotNet, spec: Spec) -> dict[str, Tensor]:
    """Return what training moves, under the names of the file: floats as fp32, on the CPU."""
    state = net.state_dict()
    tensors = {}
    for name in _trained_names(net, spec):
        tensor = state[name].detach().cpu()
        tensor = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        tensors[stored_name(name)] = tensor.contiguous().clone()
    return tensors


def stored_name(name: str) -> str:
    """Return a tensor's name in the file: as peft writes it, without the name of its adapter."""
    if "lora_magnitude_vector" in name:
        return PEFT_PREFIX + name.removesuffix(".default.weight")
    return PEFT_PREFIX + name.replace(".default.", ".")


def opens_with_peft(net: FewShotNet) -> bool:
    """Whether all layers that a method added are peft's."""
    wrappers = wrappers_of(net)
    return bool(wrappers) and wrappers == peft_layers(net)


def _trained_names(net: FewShotNet, spec: Spec) -> list[str]:
    """Name trainable parameters, and the buffers of modules that run in training mode."""
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    kept = net.state_dict()
    for module in spec.how.train_mode(net):
        buffers = net.get_submodule(module).named_buffers(prefix=module)
        names += [name for name, _ in buffers if name in kept]
    return names


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``folder`` when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        yield part
        part.chmod(0o755)
        if folder.exists():
            old = part.with_suffix(".old")
            os.rename(folder, old)
            os.rename(part, folder)
            shutil.rmtree(old)
        else:
            os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
