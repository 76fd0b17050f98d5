"""Banks of class vectors: what a text-driven head knows about a class before it sees an image.

A bank is a table: canonical names, the sentences that were encoded, one frozen vector each. The
committed one (``banks/minilm``) needs no text model at run time; `encode` makes others. Two
controls, `one_hot` and `random_orthogonal`, tell whether the meaning of the text matters, and
`TextBank.permuted` whether the match of text and class does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from fmtutor.core.files import atomic_path, read_json, write_json
from fmtutor.core.seeds import torch_rng
from fmtutor.core.tables import unknown_name
from fmtutor.nets.text_encoders import TextEncoder, minilm
from fmtutor.nets.text_prompts import TEMPLATE, spoken

BANKS: Mapping[str, str] = {
    "minilm": "all-MiniLM-L6-v2, 384 features of norm 1: a general sentence encoder",
}
"""The banks that come with the package, with a line on each."""

_ENCODE = "python -m fmtutor.bench.text_bank --names NAME ... --out FILE.safetensors"


@dataclass(frozen=True, kw_only=True, eq=False)
class TextBank:
    """One frozen vector per class.

    Raises:
        ValueError: A name stands twice, there is no row, or names, prompts and rows differ in
            number.
    """

    names: tuple[str, ...]
    """Canonical class names."""
    prompts: tuple[str, ...]
    """The very text that each vector was made from."""
    vectors: Float[Tensor, "L E"]
    """float32."""
    source: dict[str, Any]
    """Kind, model, template, sha256 of the model's files, versions, and what was done since."""

    def __post_init__(self) -> None:
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twice:
            raise ValueError(f"a bank has one row per name, but {twice} stand twice; drop one.")
        counts = (len(self.names), len(self.prompts), len(self.vectors))
        if len(set(counts)) > 1 or not counts[0]:
            raise ValueError(
                f"a bank needs as many names as prompts and vectors, at least one, not {counts}; "
                "give one of each per class."
            )

    def rows(self, names: Sequence[str]) -> Float[Tensor, "N E"]:
        """Return the vectors of these classes, in this order.

        Raises:
            ValueError: No name is given, or the bank lacks one.
        """
        return self.vectors[self._index(names)]

    def only(self, names: Sequence[str]) -> "TextBank":
        """Return the bank of these classes alone, in this order.

        Raises:
            ValueError: No name is given, the bank lacks one, or one is given twice.
        """
        index = self._index(names)
        prompts = tuple(self.prompts[i] for i in index)
        return replace(self, names=tuple(names), prompts=prompts, vectors=self.vectors[index])

    def centred(self) -> "TextBank":
        """Return the bank less its mean row.

        Sentences of one template point the same way: their mean says "a CT of something", and the
        classes differ in what is left.
        """
        return self._with(self.vectors - self.vectors.mean(0), centred=True)

    def scaled(self, norm: float | None = None) -> "TextBank":
        """Return the bank times one factor for all rows, so that the mean norm of a row is `norm`.

        Args:
            norm: Wanted mean norm; None takes sqrt(E), where an entry is about 1 in size, as a
                linear layer's initialisation expects.

        Raises:
            ValueError: `norm` is not positive, or every row is 0.
        """
        norm = self.vectors.shape[1] ** 0.5 if norm is None else norm
        mean = self.vectors.norm(dim=1).mean().item()
        if norm <= 0 or mean == 0:
            raise ValueError(
                f"rows of mean norm {mean:g} cannot be scaled to {norm:g}; both must be above 0."
            )
        return self._with(self.vectors * (norm / mean), norm=norm)

    def permuted(self, seed: int) -> "TextBank":
        """Return the same vectors under shuffled names, none under its own: a control.

        The prompts stay with their vectors. A system that only needs the vectors to differ learns
        as well from this bank; one that uses their meaning does not.
        """
        order = torch.randperm(len(self.names), generator=torch_rng("text bank", seed)).tolist()
        cycle = dict(zip(order, order[1:] + order[:1], strict=True))
        names = tuple(self.names[cycle[i]] for i in range(len(order)))
        return replace(self, names=names, source={**self.source, "permuted": seed})

    def cosine(self) -> Float[Tensor, "L L"]:
        """Return the cosine of every pair of rows, in [-1, 1]."""
        unit = torch.nn.functional.normalize(self.vectors, dim=1)
        return (unit @ unit.T).clamp(-1, 1)

    def _index(self, names: Sequence[str]) -> list[int]:
        if not names:
            raise ValueError("a bank is asked for at least one name; give class names.")
        place = {name: i for i, name in enumerate(self.names)}
        if missing := [name for name in names if name not in place]:
            raise ValueError(_missing(missing, self.names))
        return [place[name] for name in names]

    def _with(self, vectors: Tensor, **done: object) -> "TextBank":
        return replace(self, vectors=vectors, source={**self.source, **done})


def _missing(missing: Sequence[str], known: Sequence[str]) -> str:
    near = {name: get_close_matches(name, known, n=3) for name in missing}
    hints = [f"{name} (near: {', '.join(found) or 'none'})" for name, found in near.items()]
    return (
        f"every class needs a row in the bank; missing: {'; '.join(hints)}. Use canonical names, "
        f"or encode your own: {_ENCODE}, then load_bank(FILE)."
    )


def encode(
    names: Sequence[str],
    *,
    template: str = TEMPLATE,
    encoder: TextEncoder | None = None,
    words: Mapping[str, str] | None = None,
) -> TextBank:
    """Encode class names into a bank.

    Args:
        names: Canonical class names.
        template: Sentence with one ``{}`` for the class; `text_prompts.TEMPLATES` has some.
        encoder: A `TextEncoder`; None takes MiniLM.
        words: What to say for a class instead of ``spoken(name)``, such as
            `text_prompts.PUBLISHED_SPELLINGS`.

    Raises:
        ValueError: The template has not exactly one ``{}``, or there is no name, or one twice.
        ModuleNotFoundError: The encoder's package is not installed.

    Example:
        >>> encode(["kidney_left"]).prompts  # doctest: +SKIP
        ('A computed tomography of a left kidney',)
    """
    if template.count("{}") != 1:
        raise ValueError(f"a template has one {{}} for the class, not {template!r}; add it.")
    if not names:
        raise ValueError("a bank needs at least one name; give class names.")
    said = {**{name: spoken(name) for name in names}, **(words or {})}
    prompts = tuple(template.replace("{}", said[name]) for name in names)
    encoder = encoder or minilm()
    return TextBank(
        names=tuple(names),
        prompts=prompts,
        vectors=encoder(prompts),
        source={**encoder.source, "template": template},
    )


def one_hot(names: Sequence[str]) -> TextBank:
    """Return the bank that knows nothing but which class is which: the identity matrix."""
    return TextBank(
        names=tuple(names),
        prompts=tuple(names),
        vectors=torch.eye(len(names)),
        source={"kind": "one_hot"},
    )


def random_orthogonal(names: Sequence[str], *, size: int, seed: int) -> TextBank:
    """Return meaningless vectors at right angles to each other, of norm sqrt(size).

    Args:
        names: Class names.
        size: Features E, at least as many as names.
        seed: Which of them.

    Raises:
        ValueError: ``size`` is below the number of names: no more directions are orthogonal.
    """
    if size < len(names):
        raise ValueError(
            f"{len(names)} names need at least as many features, not {size}; raise size."
        )
    noise = torch.randn(size, len(names), generator=torch_rng("orthogonal bank", seed))
    q, r = torch.linalg.qr(noise)
    vectors = (q * r.diagonal().sign()).T * size**0.5  # the sign makes the draw uniform
    return TextBank(
        names=tuple(names),
        prompts=tuple(names),
        vectors=vectors.contiguous(),
        source={"kind": "random_orthogonal", "size": size, "seed": seed},
    )


def nearest(
    bank: TextBank, names: Sequence[str], among: Iterable[str], *, count: int = 3
) -> pd.DataFrame:
    """List the classes whose vectors are nearest by cosine; a class is not its own neighbour.

    Args:
        bank: Vectors; a centred bank compares what is left without the common part.
        names: Classes asked about.
        among: Classes that may be neighbours.
        count: Neighbours for each.

    Returns:
        Columns name, rank (from 1), nearest, cosine.

    Raises:
        ValueError: The bank lacks a name.
    """
    pool = list(among)
    everything = bank.only(list(dict.fromkeys([*names, *pool])))
    place = {name: i for i, name in enumerate(everything.names)}
    cosine = everything.cosine()
    rows = []
    for name in names:
        found = {other: cosine[place[name], place[other]].item() for other in pool if other != name}
        best = sorted(found, key=lambda other: -found[other])[:count]
        rows += [(name, rank, other, found[other]) for rank, other in enumerate(best, start=1)]
    return pd.DataFrame(rows, columns=["name", "rank", "nearest", "cosine"])


def load_bank(name_or_path: str | Path) -> TextBank:
    """Load a committed bank by name, or any saved one by its file.

    Raises:
        ValueError: There is neither such a bank nor such a file, or vectors and names differ.
    """
    path = Path(name_or_path)
    if str(name_or_path) in BANKS:
        with as_file(files("fmtutor.nets")) as folder:
            path = folder / "banks" / f"{name_or_path}.safetensors"
    elif path.suffix != ".safetensors" or not path.is_file():
        raise unknown_name(str(name_or_path), BANKS, "bank (and no .safetensors file)")
    card = read_json(path.with_suffix(".json"))
    return TextBank(
        names=tuple(card["names"]),
        prompts=tuple(card["prompts"]),
        vectors=load_file(path)["vectors"].float(),
        source=card["source"],
    )


def save_bank(bank: TextBank, path: str | Path) -> None:
    """Write ``path`` (fp16 vectors) and the JSON beside it (names, prompts, source).

    Raises:
        ValueError: The file name does not end in .safetensors, or a value is too large for fp16.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a bank is saved as NAME.safetensors, not {path.name!r}; rename it.")
    half = bank.vectors.half()
    if not half.isfinite().all():
        raise ValueError("fp16 holds numbers up to 65504 only; scale the bank first.")
    with atomic_path(path) as part:
        save_file({"vectors": half.contiguous()}, part)
    card = {"names": bank.names, "prompts": bank.prompts, "source": bank.source}
    write_json(path.with_suffix(".json"), card)
