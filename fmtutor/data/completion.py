"""Completing partial labels: what an annotation leaves open is decided by a model's probabilities.

An annotation of a voxel says, for each region r of its centre's protocol, whether the voxel lies in
r. That settles some structures and leaves others open. A centre that draws the bare liver says of a
voxel outside it: not liver tissue, not one of my other organs; it may be a liver lesion, the colon,
or nothing. A survey that draws both kidneys as one class says of a voxel inside: a kidney, left or
right. So no contradiction between protocols needs a case of its own. With C(v) the structures that
agree with the annotation of voxel v, sig(c) the classes whose canonical region holds structure c,
and p_k the probabilities of the model,

    label(v) = argmax over c in C(v) of  sum_{k in sig(c)} log p_k(v) / (1 - p_k(v)),

where "nothing" scores 0 and is open wherever v lies in no annotated region. This is the likeliest
structure under independent sigmoids; a structure of one class wins above p = 1/2, as in prediction.
Where C(v) has one member the annotation stands, whatever the model says.

Taught in: 02
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fmtutor.data.domains import FULL
from fmtutor.data.regions import Protocol, Region, Vocabulary

NAME = "completed"
"""Name of the protocol that all centres share afterwards."""
CERTAIN = 1e-3
"""Probabilities are kept this far from 0 and 1: half floats round to them, and logits need not."""
FAINT = 0.05
"""Probabilities below are no answer: they do not count as suspicious."""


@dataclass(frozen=True)
class Cell:
    """Structures that no canonical region tells apart: one id of a completed label map."""

    name: str
    """The structure that stands for them."""
    structures: frozenset[str]
    """All of them."""
    classes: tuple[int, ...]
    """Rows of the protocol whose regions hold them."""


def completed_protocol(protocols: Sequence[Protocol]) -> Protocol:
    """Return what the completed cases annotate: every name of the protocols, in its widest sense.

    Organs are taken with their lesions and the aorta whole (`fmtutor.data.domains.FULL`); a name
    without such a reading is the union of what the protocols call so. A merged class ("kidneys")
    stays a class: its region is that of its parts together.
    """
    regions = []
    for name in Vocabulary.shared(protocols).names:
        drawn = [region for protocol in protocols if (region := protocol.region(name)) is not None]
        parts = frozenset().union(*(region.structures for region in drawn))
        regions.append(Region(name, parts | FULL.get(name, Region(name, parts)).structures))
    return Protocol(NAME, tuple(regions))


def cells(protocol: Protocol) -> tuple[Cell, ...]:
    """Split the regions of a protocol into cells: structures with the same classes stay together.

    Example:
        >>> [cell.name for cell in cells(Protocol("p", (Region.of("liver", "liver", "lesion"),
        ...                                             Region.of("lesion"))))]
        ['liver', 'lesion']
    """
    groups: dict[tuple[int, ...], set[str]] = {}
    for structure in sorted(frozenset().union(*(r.structures for r in protocol.regions))):
        holders = tuple(n for n, r in enumerate(protocol.regions) if structure in r.structures)
        groups.setdefault(holders, set()).add(structure)
    found = []
    for rows, structures in sorted(groups.items()):
        called = [protocol.regions[row].name for row in rows]
        names = [name for name in called if name in structures]
        found.append(Cell(names[0] if names else min(structures), frozenset(structures), rows))
    return tuple(found)


def annotation(labels: np.ndarray, table: Mapping[int, str], annotated: Protocol) -> np.ndarray:
    """Return int64 (H, W, D): bit r is set where the voxel lies in region r of the protocol.

    This is all that a centre has drawn: structures outside its regions leave no trace.
    """
    size = max(int(labels.max(initial=0)), *table) + 1
    inside = Vocabulary.shared([annotated]).lut(0, table, size=size)  # (R, size)
    return ((1 << np.arange(len(inside)))[:, None] * inside).sum(0)[labels]


def pattern_of(structure: str, annotated: Protocol) -> int:
    """Return the pattern of `annotation` that a voxel of this structure has; 0 if not drawn."""
    return sum(
        1 << row for row, region in enumerate(annotated.regions) if structure in region.structures
    )


def open_cells(pattern: int, annotated: Protocol, choices: Sequence[Cell]) -> list[int]:
    """Return the cells with a structure that agrees with a pattern of `annotation`."""
    return [
        number
        for number, cell in enumerate(choices)
        if any(pattern_of(structure, annotated) == pattern for structure in cell.structures)
    ]


def left_open(
    drawn: np.ndarray, annotated: Protocol, protocol: Protocol, name: str
) -> Bool[np.ndarray, "H W D"]:
    """Return where an annotation does not settle whether a voxel belongs to a class.

    Args:
        drawn: The annotation, from `annotation`.
        annotated: The centre's protocol.
        protocol: From `completed_protocol`.
        name: A class of ``protocol``.
    """
    row = [region.name for region in protocol.regions].index(name)
    choices, out = cells(protocol), np.zeros(drawn.shape, bool)
    for pattern in np.unique(drawn).tolist():
        answers = {row in choices[n].classes for n in open_cells(pattern, annotated, choices)}
        answers |= set() if pattern else {False}
        out[drawn == pattern] = len(answers) > 1
    return out


def how_annotated(region: Region, annotated: Protocol, protocol: Protocol) -> str:
    """Say how much of a canonical region a centre's annotation settles.

    Returns:
        "whole"; "part" where the centre draws it more narrowly, or merged with something else; or
        "no".

    Example:
        >>> liver, both = Region.of("liver"), Region.of("organs", "liver", "spleen")
        >>> shared = Protocol("completed", (liver, Region.of("spleen")))
        >>> how_annotated(liver, Protocol("merged", (both,)), shared)
        'part'
    """
    every = frozenset().union(*(other.structures for other in protocol.regions))
    inside = {pattern_of(structure, annotated) for structure in region.structures}
    outside = {0} | {pattern_of(structure, annotated) for structure in every - region.structures}
    return "whole" if inside.isdisjoint(outside) else "no" if inside == {0} else "part"


def complete(
    drawn: np.ndarray,
    annotated: Protocol,
    protocol: Protocol,
    probabilities: Float[np.ndarray, "L H W D"],
) -> np.ndarray:
    """Fill in what an annotation leaves open.

    Args:
        drawn: The annotation, from `annotation`.
        annotated: The centre's protocol, whose regions the bits of ``drawn`` stand for.
        protocol: What is to be annotated, from `completed_protocol`.
        probabilities: The model's, one map for each region of ``protocol``.

    Returns:
        uint8 (H, W, D): 0 for nothing, else one more than the place in ``cells(protocol)``.

    Raises:
        ValueError: A voxel was drawn as something that ``protocol`` has no region for.
    """
    choices = cells(protocol)
    votes = np.zeros((len(choices) + 1, len(protocol.regions)), np.float32)  # last row: nothing
    for row, cell in enumerate(choices):
        votes[row, cell.classes] = 1
    labels = np.zeros(drawn.shape, np.uint8)
    hopeful = (probabilities > 0.5).any(0)  # elsewhere every logit is negative: nothing wins
    for pattern in np.unique(drawn).tolist():
        options = open_cells(pattern, annotated, choices)
        if not options and pattern:
            raise ValueError(
                f"nothing in protocol {protocol.name!r} agrees with pattern {pattern:b} of "
                f"{annotated.name!r}; make it with completed_protocol, from all the centres."
            )
        here = drawn == pattern if pattern else hopeful & (drawn == 0)
        options = options if pattern else [*options, len(choices)]
        scores = votes[options] @ _logit(probabilities[:, here])  # (options, voxels)
        chosen = (np.array(options) + 1)[scores.argmax(0)]
        labels[here] = np.where(chosen > len(choices), 0, chosen)
    return labels


def suspicion(probabilities: Float[np.ndarray, "M L H W D"]) -> np.ndarray:
    """Score how much the answers of M models for a case need an annotator's eye.

    The entropy of the models' mean probability, in bits per expected voxel of the class: it rises
    where each model is unsure, and where sure models disagree. AbdomenAtlas ranks its predictions
    in this spirit and sends the top of the list to annotators.

    Returns:
        float32 (L,); 0 for a class that nobody sees.

    Source: Qu et al., "AbdomenAtlas-8K", NeurIPS 2023: its attention map (entropy, disagreement
    of three networks, overlap of organs) is a sum over voxels; the division is ours.
    """
    scores = []
    for label in range(probabilities.shape[1]):
        mean = probabilities[:, label].mean(0, dtype=np.float32)
        p = np.clip(mean[mean > FAINT], CERTAIN, 1 - CERTAIN)
        bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
        scores.append(bits.sum() / max(float(p.sum()), 1.0))
    return np.array(scores, np.float32)


def _logit(probabilities: np.ndarray) -> np.ndarray:
    p = np.clip(probabilities.astype(np.float32), CERTAIN, 1 - CERTAIN)
    return np.log(p / (1 - p))
