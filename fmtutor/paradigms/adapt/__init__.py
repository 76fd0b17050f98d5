"""Few-shot adaptation: every way of the talk's tables to teach a base network a new structure.

One method, one small file: where it goes in, how it starts, what it trains. A file has one
constant, ``METHOD`` (`fmtutor.paradigms.adapt.method.Method`), and joins by being listed here; then
it appears in the ledger, the contracts, the sweeps and the notebooks.

`fmtutor.paradigms.adapt.spec` turns a base network and a method into a network ready to train,
`fmtutor.paradigms.adapt.files` keeps what was trained as a file of kilobytes.
"""

from importlib import import_module

from fmtutor.core.tables import lookup
from fmtutor.paradigms.adapt.method import Method

METHODS: dict[str, str] = {
    "zero_shot": "fmtutor.paradigms.adapt.zero_shot",
    "linear_probe": "fmtutor.paradigms.adapt.linear_probe",
    "mlp_adapter": "fmtutor.paradigms.adapt.mlp_adapter",
    "spatial_adapter": "fmtutor.paradigms.adapt.spatial_adapter",
    "full_fine_tune": "fmtutor.paradigms.adapt.full_fine_tune",
    "decoder_fine_tune": "fmtutor.paradigms.adapt.decoder_fine_tune",
    "last_block": "fmtutor.paradigms.adapt.last_block",
    "bitfit": "fmtutor.paradigms.adapt.bitfit",
    "affine": "fmtutor.paradigms.adapt.affine",
    "lora": "fmtutor.paradigms.adapt.lora",
    "adaptformer": "fmtutor.paradigms.adapt.adaptformer",
    "cnn_adapter": "fmtutor.paradigms.adapt.cnn_adapter",
    "conv_lora": "fmtutor.paradigms.adapt.conv_lora",
    "residual_adapter": "fmtutor.paradigms.adapt.residual_adapter",
    "dora": "fmtutor.paradigms.adapt.dora",
    "ssf": "fmtutor.paradigms.adapt.ssf",
    "arena": "fmtutor.paradigms.adapt.arena",
}
"""Name of a method to the module that holds it."""


def adaptation(name: str) -> Method:
    """Return a method by name.

    Raises:
        ValueError: No method has this name; the message lists those there are.

    Example:
        >>> adaptation("linear_probe").family
        'black-box'
    """
    return import_module(lookup(METHODS, name, "adaptation method")).METHOD
