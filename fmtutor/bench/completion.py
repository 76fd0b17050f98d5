"""The AbdomenAtlas way to whole labels: a first model fills in what each centre left out.

The first model learnt from the same partial labels, masked (`fmtutor.paradigms.partial.fseft`).
Its answers are merged with each centre's annotation by `fmtutor.data.completion`, once per case,
and kept on disk: sources of completed cases then train any system, as any other source does.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from fmtutor.bench.recipes import Recipe
from fmtutor.bench.training import WEIGHTS_FILE
from fmtutor.core.configs import fingerprint
from fmtutor.core.files import atomic_path, sha256_of
from fmtutor.data.cases import Case
from fmtutor.data.completion import (
    Cell,
    annotation,
    cells,
    complete,
    completed_protocol,
    how_annotated,
    left_open,
    suspicion,
)
from fmtutor.data.patches import Source
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.shelf import VirtualSource
from fmtutor.engine.checkpoint import load_weights
from fmtutor.engine.inference import segment
from fmtutor.engine.metrics import dice
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms import paradigm

RULE = 1
"""Version of the rule of completion; raise it when `complete` would give other labels."""
OVERLAP = 0.25
"""Of the windows of the first model: half the windows of a prediction, and as good for this."""


@dataclass(frozen=True, eq=False)
class FirstModel:
    """Whoever fills in: a way to predict, and a key that changes with its answers."""

    predict: Callable[[Case], Prediction]
    """Case to probabilities of at least the classes of the completed protocol."""
    key: str
    """Such as the sha256 of its weights."""


def first_model(recipe: Recipe, folder: Path) -> FirstModel:
    """Return the trained network of a run folder as a first model.

    Args:
        recipe: Of a system with one channel per class name, such as "fseft".
        folder: Where the recipe was trained.
    """
    config = recipe.config
    model = paradigm(recipe.system).build(config)
    load_weights(model, folder / WEIGHTS_FILE)
    model.eval()

    def predict(case: Case) -> Prediction:
        return segment(
            model, case, names=config.classes, spacing_mm=config.spacing_mm, patch=config.patch,
            overlap=OVERLAP, precision=recipe.precision,
        )  # fmt: skip

    return FirstModel(predict, sha256_of(folder / WEIGHTS_FILE))


@dataclass(frozen=True, eq=False, kw_only=True)
class Completion:
    """Whole labels of a case, and how far to trust them."""

    labels: np.ndarray
    """uint8 (H, W, D): 0 for nothing, else one more than the place in `CompletedSource.cells`."""
    suspicion: np.ndarray
    """float32 (L,): `fmtutor.data.completion.suspicion` of the model's answer for each class."""


@dataclass(frozen=True, eq=False)
class CompletedSource:
    """The cases of a source with whole labels; each is completed once, then read."""

    source: Source
    """Partially annotated; of its labels only the regions of its protocol are looked at."""
    protocol: Protocol
    """What is annotated afterwards, from `completed_protocol`."""
    first: FirstModel
    """Fills in what the source's protocol leaves open."""
    folder: Path
    """Where completions are kept."""

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """What the label ids 1, 2, ... mean."""
        return cells(self.protocol)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Case:
        case = self.source[index]
        return replace(
            case,
            labels=self.completion(index, case).labels,
            table={number: cell.name for number, cell in enumerate(self.cells, start=1)},
            known=frozenset().union(*(cell.structures for cell in self.cells)),
            provenance=f"{case.provenance}; labels completed by a model {self.first.key[:12]}",
        )

    def completion(self, index: int, case: Case | None = None) -> Completion:
        """Return the completion of a case, read from the folder or made into it.

        The file is named by all that its content depends on: image, annotation, both protocols,
        first model and rule; what the case's labels hold beyond the annotation does not enter.

        Args:
            index: Number of the case in the source.
            case: The source's case, where the caller has it already.

        Raises:
            ValueError: The case has no labels, or the first model lacks a class.
        """
        case = self.source[index] if case is None else case
        if case.labels is None:
            raise ValueError(f"case {case.name!r} has no labels to complete; read it with them.")
        drawn = annotation(case.labels, case.table, self.source.protocol)
        path = self.folder / f"{index:05d}-{self._key(case, drawn)}.npz"
        if not path.exists():
            _store(self._complete(case, drawn), path)
        return _read(path)

    def _complete(self, case: Case, drawn: np.ndarray) -> Completion:
        found = self.first.predict(replace(case, labels=None, table={}, known=frozenset()))
        names = [region.name for region in self.protocol.regions]
        if missing := sorted(set(names) - set(found.names)):
            raise ValueError(
                f"a first model must know every class, it lacks {missing}; "
                "train it on the same sources."
            )
        probabilities = np.stack([found.probability(name).astype(np.float16) for name in names])
        return Completion(
            labels=complete(drawn, self.source.protocol, self.protocol, probabilities),
            suspicion=suspicion(probabilities[None]),
        )

    def _key(self, case: Case, drawn: np.ndarray) -> str:
        texts = (str(RULE), self.first.key, fingerprint(self.protocol), case.modality,
                 fingerprint(self.source.protocol), str(case.image.shape))  # fmt: skip
        digest = hashlib.sha256("\x1f".join(texts).encode())
        for array in (case.image.astype(np.float32), drawn, case.affine.astype(np.float64)):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]


def completed_sources(
    recipe: Recipe, first_folder: Path, folder: Path, *, sources: Sequence[Source] | None = None
) -> list[CompletedSource]:
    """Complete every case that a recipe learns from, with a progress line; finished ones are kept.

    Args:
        recipe: That of the first model.
        first_folder: Where it was trained.
        folder: Where the completions go, one folder for each centre.
        sources: In place of the recipe's virtual centres.
    """
    partial = sources or [VirtualSource(centre, recipe.patients) for centre in recipe.centres]
    first = first_model(recipe, Path(first_folder))
    return complete_all(partial, first, Path(folder))


def complete_all(
    sources: Sequence[Source], first: FirstModel, folder: Path
) -> list[CompletedSource]:
    """Complete every case of several sources under one protocol; killed, it goes on."""
    protocol = completed_protocol([source.protocol for source in sources])
    out = [CompletedSource(s, protocol, first, folder / s.protocol.name) for s in sources]
    work = [(source, index) for source in out for index in range(len(source))]
    for source, index in tqdm(work, desc="completing labels", unit="case", mininterval=5.0):
        source.completion(index)
    return out


def completion_quality(sources: Sequence[CompletedSource]) -> pd.DataFrame:
    """Compare completed labels with the whole truth that virtual cases carry.

    The truth serves this table alone. Classes that a centre annotates in their full sense have
    Dice 1, which checks the merging; the others say how good the labels are that training takes
    for true.

    Returns:
        One row per case and class: centre, case, region, ``annotated`` (see `how_annotated`), dice
        (NaN where neither has it), reference_ml, completed_ml, ``from_model`` (share of the
        completed voxels that the annotation left open) and suspicion.
    """
    rows = []
    for source in sources:
        for index in range(len(source)):
            truth, whole = source.source[index], source[index]
            doubt = source.completion(index, truth).suspicion.tolist()
            rows += [
                {**_compared(region, source, truth, whole), "suspicion": score}
                for region, score in zip(source.protocol.regions, doubt, strict=True)
            ]
    return pd.DataFrame(rows)


def _compared(
    region: Region, source: CompletedSource, truth: Case, whole: Case
) -> dict[str, str | float]:
    annotated = source.source.protocol
    reference, completed = _mask(truth, region), _mask(whole, region)
    drawn = annotation(truth.labels, truth.table, annotated)  # type: ignore[arg-type]
    filled = completed & left_open(drawn, annotated, source.protocol, region.name)
    return {
        "centre": annotated.name,
        "case": truth.name,
        "region": region.name,
        "annotated": how_annotated(region, annotated, source.protocol),
        "dice": dice(completed, reference),
        "reference_ml": float(reference.sum()) * truth.grid.voxel_ml,
        "completed_ml": float(completed.sum()) * truth.grid.voxel_ml,
        "from_model": float(filled.sum() / max(int(completed.sum()), 1)),
    }


def _mask(case: Case, region: Region) -> np.ndarray:
    ids = [number for number, structure in case.table.items() if structure in region.structures]
    return np.isin(case.labels, ids)  # type: ignore[arg-type]


def _store(made: Completion, path: Path) -> None:
    with atomic_path(path) as part:
        np.savez_compressed(part, labels=made.labels, suspicion=made.suspicion)


def _read(path: Path) -> Completion:
    with np.load(path) as file:
        return Completion(labels=file["labels"], suspicion=file["suspicion"])
