"""A published checkpoint as safetensors under our names: half or less of the file, no pickle."""

from pathlib import Path
from typing import Any

import torch

from fmtutor.core.files import sha256_of, write_json
from fmtutor.core.tables import lookup
from fmtutor.engine.checkpoint import WEIGHT_DTYPES, save_weights
from fmtutor.hub.layouts import PUBLISHED
from fmtutor.hub.published import CONVERTED, load


def convert(name: str, path: str | Path, out: str | Path, *, dtype: str = "fp32") -> dict[str, Any]:
    """Write a published checkpoint as safetensors, with a card beside it.

    The new file holds what `fmtutor.hub.load` rebuilds and nothing else (published files carry
    optimizer states of twice that size); ``load(name, out)`` reads it. Its licence is that of the
    original: many forbid passing a changed file on.

    Args:
        name: One of `PUBLISHED`.
        path: The file as its authors publish it.
        out: A ``.safetensors`` file; the card gets the same name with ``.json``.
        dtype: "fp32" is exact; "fp16" rounds to 11 significant bits.

    Returns:
        The card: name, what it is, source, licence, both files' sha256, dtype, sizes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not match (see `load`), ``out`` has another suffix, or a weight
            does not fit into fp16.
    """
    path, out = Path(path), Path(out)
    entry = lookup(PUBLISHED, name, "published checkpoint")
    lookup(WEIGHT_DTYPES, dtype, "weight dtype")
    if out.suffix != ".safetensors":
        raise ValueError(f"the new file must end in .safetensors, not {out.name!r}; rename it.")
    module = load(name, path)
    save_weights(module, out, dtype=dtype, metadata={CONVERTED: name})
    card = {
        "name": name,
        "what": entry.what,
        "source": entry.source,
        "licence": entry.licence,
        "from_file": path.name,
        "from_sha256": sha256_of(path),
        "weights_sha256": sha256_of(out),
        "dtype": dtype,
        "parameters": sum(weight.numel() for weight in module.parameters()),
        "tensors": len(module.state_dict()),
        "torch": str(torch.__version__),
    }
    write_json(out.with_suffix(".json"), card)
    return card
