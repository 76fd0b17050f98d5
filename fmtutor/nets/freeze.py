"""What of a model is trainable: set by name patterns, counted in a ledger.

"0.2 % of the parameters" is the headline of every adaptation method. The ledger makes it
checkable: it counts tensors as the optimizer will see them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """Parameters under one module."""

    module: str
    """Dotted name, or "total"."""
    trainable: int
    """Parameters that require a gradient."""
    frozen: int
    """Parameters that do not."""
    mib: float
    """Memory of all of them in MiB, without gradients and optimizer state."""


def train_only(model: nn.Module, *patterns: str) -> int:
    """Make the parameters whose names match trainable, and freeze all others.

    Args:
        model: Changed in place.
        patterns: Shell patterns on dotted parameter names, such as "decoder.*" or "*.bias". A
            pattern without a wildcard also matches everything below a module of that name. No
            pattern freezes the whole model.

    Returns:
        How many parameters are trainable now.

    Raises:
        ValueError: A pattern matches nothing, which is nearly always a misspelling.

    Example:
        >>> train_only(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), "1")
        4
    """
    parameters = dict(model.named_parameters())
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in parameters if _matches(name, pattern)}
        if not found:
            tops = sorted({name.split(".")[0] for name in parameters})
            raise ValueError(
                f"pattern {pattern!r} matches no parameter; top-level modules are {tops}."
            )
        chosen |= found
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in chosen)
    return sum(parameters[name].numel() for name in chosen)


def parts(backbone: nn.Module, part: str) -> tuple[str, ...]:
    """Return the names of the children that make the "encoder" or the "decoder" of a backbone.

    Networks that keep a published naming have no child called ``encoder``; they list its pieces.
    The names are patterns for `train_only`.

    Raises:
        ValueError: The backbone has no such part.
    """
    names = getattr(backbone, f"{part}_names", None)
    if names is None and hasattr(backbone, part):
        names = (part,)
    if names is None:
        kind = type(backbone).__name__
        raise ValueError(f"{kind} has no part {part!r}; ask for 'encoder' or 'decoder'.")
    return names


def ledger(model: nn.Module, *, depth: int = 1) -> list[LedgerRow]:
    """Count trainable and frozen parameters under each module, and in total.

    Args:
        model: Any model.
        depth: How many components of the dotted names make a row; 1 gives the children.

    Returns:
        One row per module in order of definition, then the row "total".
    """
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        module = ".".join(name.split(".")[:-1][:depth]) or name
        groups.setdefault(module, []).append(parameter)
    rows = [_row(module, group) for module, group in groups.items()]
    return [*rows, _row("total", list(model.parameters()))]


def ledger_table(rows: Sequence[LedgerRow]) -> str:
    """Return a ledger as a Markdown table."""
    lines = ["| module | trainable | frozen | MiB |", "|---|---:|---:|---:|"]
    for row in rows:
        lines.append(f"| {row.module} | {row.trainable:,} | {row.frozen:,} | {row.mib:.2f} |")
    return "\n".join(lines)


def _row(module: str, parameters: list[nn.Parameter]) -> LedgerRow:
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters if not p.requires_grad)
    mib = sum(p.numel() * p.element_size() for p in parameters) / MIB
    return LedgerRow(module=module, trainable=trainable, frozen=frozen, mib=mib)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
