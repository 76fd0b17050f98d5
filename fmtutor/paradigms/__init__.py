"""The systems of the talk, one file each, and the table that names them.

Every file offers the same few things:

- ``Config`` (frozen; ``tiny()`` for the contracts, ``quick()``, ``gpu()``, ``paper()``) with
  ``with_vocabulary(vocabulary)``, which takes the classes from a vocabulary;
- ``vocabulary(protocols)``: how the system lays the regions of several datasets out as channels;
- ``build(config) -> model``, which keeps its ``config``; initial weights come from torch's global
  generator;
- ``step(model, batch) -> loss`` for `fmtutor.engine.fit`. The model's output is one map of logits,
  or a tuple of them, finest first; its first channels are those of the vocabulary;
- ``predict(model, case, ask) -> Prediction``;
- ``CARD``.

The self-supervised ones have neither a vocabulary nor ``predict``: they offer
``encoder_state(model)`` and ``load_encoder(backbone, state)``.

A file joins by being listed here; then the contracts in ``tests/contracts`` run over it.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from fmtutor.core.tables import lookup

PARADIGMS: dict[str, str] = {
    "adapter_3dsam": "fmtutor.paradigms.interactive.adapter_3dsam",
    "clip_driven": "fmtutor.paradigms.partial.clip_driven",
    "dodnet": "fmtutor.paradigms.partial.dodnet",
    "early_prompt": "fmtutor.paradigms.interactive.early_prompt",
    "fseft": "fmtutor.paradigms.partial.fseft",
    "hermes": "fmtutor.paradigms.partial.hermes",
    "ma_sam": "fmtutor.paradigms.interactive.ma_sam",
    "med3d": "fmtutor.paradigms.partial.med3d",
    "medsam": "fmtutor.paradigms.interactive.medsam",
    "multitalent": "fmtutor.paradigms.partial.multitalent",
    "multiverseg": "fmtutor.paradigms.incontext.multiverseg",
    "nnunet_like": "fmtutor.paradigms.reference.nnunet_like",
    "sam": "fmtutor.paradigms.interactive.sam",
    "sam_med2d": "fmtutor.paradigms.interactive.sam_med2d",
    "sam_med3d": "fmtutor.paradigms.interactive.sam_med3d",
    "samed": "fmtutor.paradigms.interactive.samed",
    "segvol": "fmtutor.paradigms.interactive.segvol",
    "suprem": "fmtutor.paradigms.partial.suprem",
    "swin_ssl": "fmtutor.paradigms.selfsup.swin_ssl",
    "tyche": "fmtutor.paradigms.incontext.tyche",
    "uniseg": "fmtutor.paradigms.partial.uniseg",
    "universeg": "fmtutor.paradigms.incontext.universeg",
}
"""Name of a system to the module that holds it."""

IN_CONTEXT = frozenset(name for name, path in PARADIGMS.items() if ".incontext." in path)
"""Systems that learn from episodes and answer examples."""

INTERACTIVE = frozenset(name for name, path in PARADIGMS.items() if ".interactive." in path)
"""Systems that learn from objects and answer clicks, boxes and the like."""

SELF_SUPERVISED = frozenset(name for name, path in PARADIGMS.items() if ".selfsup." in path)
"""Systems that learn from images alone and hand on an encoder. Neither these nor `IN_CONTEXT` nor
`INTERACTIVE` have classes, all others do."""


def paradigm(name: str) -> ModuleType:
    """Import the module of a system.

    Raises:
        ValueError: No system has this name; the message lists those there are.

    Example:
        >>> paradigm("fseft").CARD.year
        2025
    """
    return import_module(lookup(PARADIGMS, name, "system"))


def config_of(model: nn.Module) -> Any:
    """Return the configuration a model was built from, also when it is wrapped for several GPUs."""
    return getattr(model, "module", model).config
