"""The virtual cohort: many seeded patients grown from one real torso CT.

`draw` turns (centre, index, seed) into a `Recipe`, plain numbers that can be printed; `grow` turns
a recipe into a `Case`. The same three keys give the same case, on any machine up to rounding.

It is one patient's anatomy. However far it is bent, topology, habitus and the relations between
organs stay those of the torso; see notebook 00 for how far apart the cases really are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_of
from fmtutor.data.acquisition import (
    AIR_HU,
    add_arms,
    add_noise,
    add_table,
    apply_kernel,
    thicken_slices,
)
from fmtutor.data.anatomy import NOVEL_STRUCTURES, expand
from fmtutor.data.appearance import add_texture, add_tones, organ_tones, redraw
from fmtutor.data.cases import Case
from fmtutor.data.deformation import Deformer, Warp, sample_at, voxel_grid
from fmtutor.data.domains import LESIONS, TARGET, Centre, Domain, Range
from fmtutor.data.findings import insert_lesions, resect
from fmtutor.data.samples import load_sample

ORGANS = (
    "liver",
    "spleen",
    "kidney_left",
    "kidney_right",
    "gallbladder",
    "stomach",
    "pancreas",
    "duodenum",
    "small_bowel",
    "colon",
    "urinary_bladder",
    "inferior_vena_cava",
)
"""Organs that are pushed and swollen on their own (the aorta follows the spine)."""
EXTRA_IDS = {
    201: "liver_lesion",
    202: "kidney_lesion_left",
    203: "kidney_lesion_right",
    204: "aorta_suprarenal",
}
"""Label ids that the cohort adds to TotalSegmentator's."""
ARM_ROOM_MM = 72.0
TABLE_ROOM_MM = 45.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything drawn about one virtual patient and scan."""

    warp: Warp
    removed: tuple[str, ...]
    lesions: tuple[str, ...]
    phase: str
    synthetic: bool
    texture_hu: float
    noise_hu: float
    kernel: float
    slice_mm: float
    length_mm: float
    start: float
    """Where the scan begins, as a share of the room that is left."""
    arms: bool
    table: bool
    seed: int
    """Seed of everything drawn voxel by voxel."""


class Template:
    """The torso, prepared once: image, labels with the aorta split, and its deformer."""

    def __init__(self, case: Case) -> None:
        if case.labels is None:
            raise ValueError("the template needs labels; load it with its label file.")
        ids = {name: number for number, name in case.table.items()}
        labels, table = case.labels.astype(np.uint8).copy(), dict(case.table)
        kidneys = np.isin(labels, (ids["kidney_left"], ids["kidney_right"]))
        level = int(np.nonzero(kidneys)[2].mean())  # renal arteries leave at about this height
        upper = (labels == ids["aorta"]) & (np.arange(labels.shape[2]) > level)
        labels[upper] = 204
        table[ids["aorta"]] = "aorta_infrarenal"
        self.table: Mapping[int, str] = {**table, **EXTRA_IDS}
        self.ids = {name: number for number, name in self.table.items()}
        self.image = torch.from_numpy(np.ascontiguousarray(case.image, dtype=np.float32))
        self.labels = torch.from_numpy(labels)
        self.spacing_mm = case.spacing_mm[0]
        self.affine = case.affine
        organs = {name: (self.ids[name],) for name in ORGANS}
        self.deformer = Deformer(
            labels, case.image > -300, organs=organs, spacing_mm=self.spacing_mm
        )


@cache
def template() -> Template:
    """Return the torso's template (made once per process)."""
    return Template(load_sample("torso"))


def draw(centre: Centre, index: int, seed: int = 0) -> Recipe:
    """Draw the recipe of one virtual patient.

    Args:
        centre: Where the patient is scanned.
        index: Number of the patient, 0 or more.
        seed: Seed of the whole cohort; a lecturer's secret seed gives a cohort of its own.
    """
    if index < 0:
        raise ValueError(f"index must be 0 or more, got {index}.")
    domain, rng = centre.domain, rng_of("cohort", centre.name, index, seed)
    scale = float(rng.uniform(*domain.scale_inplane))
    aspect = float(np.exp(rng.normal(0, 0.05)))
    slab = rng.random() < domain.slab
    names, weights = zip(*domain.phases, strict=True)
    return Recipe(
        warp=Warp(
            scale=(scale * aspect, scale / aspect, float(rng.uniform(*domain.scale_axial))),
            roll_deg=float(rng.normal(0, domain.roll_deg)),
            coarse_mm=_uniform(rng, domain.coarse_mm),
            fine_mm=_uniform(rng, domain.fine_mm),
            fat_mm=_uniform(rng, domain.fat_mm),
            organs=_organ_draws(domain, rng),
            noise_seed=seed_of("warp", centre.name, index, seed),
        ),
        removed=tuple(name for name, p in domain.removal if rng.random() < p),
        lesions=tuple(name for name, p in domain.lesion if rng.random() < p),
        phase=str(rng.choice(names, p=np.array(weights) / sum(weights))),
        synthetic=bool(rng.random() < domain.synthetic),
        texture_hu=_uniform(rng, domain.texture_hu),
        noise_hu=_uniform(rng, domain.noise_hu),
        kernel=_uniform(rng, domain.kernel),
        slice_mm=_uniform(rng, domain.slice_mm),
        length_mm=_uniform(rng, (40.0, 80.0) if slab else domain.length_mm),
        start=float(rng.random()),
        arms=bool(rng.random() < domain.arms),
        table=bool(rng.random() < domain.table),
        seed=seed_of("scan", centre.name, index, seed),
    )


def grow(centre: Centre, index: int, seed: int = 0) -> Case:
    """Grow one virtual patient: `draw`, then `realise`."""
    return realise(centre, draw(centre, index, seed), name=f"{centre.name}-{seed}-{index:04d}")


def realise(centre: Centre, recipe: Recipe, *, name: str) -> Case:
    """Turn a recipe into a case on the template's spacing.

    At a training centre the labels hold no novel structure (DESIGN: they are in no pre-training);
    at the target centre they hold everything. ``known`` is what the centre's protocol annotates.
    """
    base, rng = template(), np.random.default_rng(recipe.seed)
    points, corner = _canvas(base, recipe)
    source = base.deformer.source_of(recipe.warp, points)
    source[2] = source[2].clamp(0, base.image.shape[2] - 1)
    image = sample_at(base.image[None] - AIR_HU, source, border=False)[0] + AIR_HU
    labels = sample_at(base.labels[None].float(), source, nearest=True, border=False)[0].to(
        torch.uint8
    )
    if centre.name != TARGET.name:
        labels[torch.isin(labels, torch.tensor(_novel_ids(), dtype=torch.uint8))] = 0
    for organ in recipe.removed:
        image, labels = resect(image, labels, base.ids[organ], rng)
    for organ in recipe.lesions:
        image, labels = insert_lesions(
            image,
            labels,
            organ=base.ids[organ],
            lesion=base.ids[LESIONS[organ]],
            spacing_mm=base.spacing_mm,
            rng=rng,
        )
    image = _scan(_colour(image, labels, centre.domain, recipe, rng), recipe, base.spacing_mm, rng)
    affine = base.affine.copy()
    affine[:3, 3] = base.affine[:3, :3] @ corner + base.affine[:3, 3]
    table = {
        k: v for k, v in base.table.items() if centre.name == TARGET.name or k not in _novel_ids()
    }
    known = frozenset().union(*(region.structures for region in centre.protocol.regions))
    return Case(
        name=name,
        image=image.clamp(-1024, 3071).round().numpy(),
        affine=affine,
        labels=labels.numpy(),
        table=table,
        known=known,
        provenance=f"virtual: {name}, grown from the torso CT",
    )


def _uniform(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _organ_draws(
    domain: Domain, rng: np.random.Generator
) -> dict[str, tuple[float, float, float, float]]:
    draws = {}
    for organ in ORGANS:
        log_size = float(rng.normal(0, domain.organ_log_size))
        right, front, up = map(float, rng.normal(0, domain.organ_push_mm, 3))
        draws[organ] = (log_size, right, front, up)
    return draws


def _canvas(base: Template, recipe: Recipe) -> tuple[torch.Tensor, np.ndarray]:
    """Lay out the new scan's voxels in the template's frame: their coordinates and first corner."""
    h, w, d = base.image.shape
    mm = base.spacing_mm
    side = round(ARM_ROOM_MM / mm) if recipe.arms else 0
    back = round(TABLE_ROOM_MM / mm) if recipe.table else 0
    room = max(1, int(d * recipe.warp.scale[2]) - 2)
    depth = int(np.clip(round(recipe.length_mm / mm), 8, room))
    first = (d - 1) / 2 - (room - 1) / 2 + round(recipe.start * (room - depth))
    corner = np.array([-side, -back, np.floor(first)])
    grid = voxel_grid((h + 2 * side, w + back, depth))
    return grid + torch.from_numpy(corner).float().view(3, 1, 1, 1), corner


def _colour(
    image: torch.Tensor,
    labels: torch.Tensor,
    domain: Domain,
    recipe: Recipe,
    rng: np.random.Generator,
) -> torch.Tensor:
    if recipe.synthetic:
        return redraw(image, labels, rng)
    tones = organ_tones(
        template().table,
        phase=recipe.phase,
        jitter=domain.phase_jitter,
        organ_hu=domain.organ_hu,
        rng=rng,
    )
    return add_texture(add_tones(image, labels, tones), recipe.texture_hu, rng)


def _scan(
    image: torch.Tensor, recipe: Recipe, spacing_mm: float, rng: np.random.Generator
) -> torch.Tensor:
    if recipe.arms:
        image = add_arms(image, spacing_mm=spacing_mm, rng=rng)
    if recipe.table:
        image = add_table(image, spacing_mm=spacing_mm, rng=rng)
    image = thicken_slices(image, spacing_mm=spacing_mm, slice_mm=recipe.slice_mm)
    return add_noise(apply_kernel(image, recipe.kernel), recipe.noise_hu, rng)


@cache
def _novel_ids() -> tuple[int, ...]:
    """Ids of the novel structures and of all their parts (S1 is a part of the sacrum)."""
    novel = {part for name in NOVEL_STRUCTURES for part in expand(name, lesions=True)}
    return tuple(number for number, name in template().table.items() if name in novel)
