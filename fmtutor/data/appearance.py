"""How tissues look in a scan: contrast phase, each organ's own tone and texture, or drawn anew.

All functions take the warped image in HU and its label map, and add to or replace intensities.
What a label is worth comes from ``tables/contrast_phases.csv`` (typical enhancements in HU over the
scan without contrast, set by us from textbook ranges).
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from fmtutor.core.tables import lookup
from fmtutor.data.deformation import blur

Volume = Float[Tensor, "H W D"]
Labels = Integer[Tensor, "H W D"]

TISSUES = {"air": (-2000, -500), "fat": (-500, -25), "soft": (-25, 110), "bone": (110, 4000)}
"""HU ranges that stand for a label where a voxel has none."""


@cache
def enhancements() -> dict[str, dict[str, float]]:
    """Return phase to structure to enhancement in HU."""
    text = files("fmtutor.data").joinpath("tables/contrast_phases.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    return {
        phase: {row["structure"]: float(row[phase]) for row in rows}
        for phase in ("arterial", "portal", "delayed")
    }


def tissue_key(structure: str) -> str:
    """Return the row of the enhancement table that a structure follows ("kidney_left" to "kidney").

    A structure without a row of its own follows "other".
    """
    rows = enhancements()["portal"]
    for length in range(len(structure), 0, -1):
        if structure[:length] in rows and structure[length : length + 1] in ("", "_"):
            return structure[:length]
    return "other"


def organ_tones(
    table: Mapping[int, str],
    *,
    phase: str,
    jitter: float,
    organ_hu: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " 256"]:
    """Draw the HU that each label id gains: its enhancement in this phase, and a tone of its own.

    Args:
        table: Label id to structure.
        phase: "none", "arterial", "portal" or "delayed".
        jitter: Standard deviation of the log of the enhancement; left and right share a draw.
        organ_hu: Standard deviation of the own tone in HU.
        rng: Source of the draws.
    """
    rows = {} if phase == "none" else lookup(enhancements(), phase, "contrast phase")
    gains = {
        key: float(np.exp(rng.normal(0, jitter)))
        for key in sorted({tissue_key(s) for s in table.values()})
    }
    tones = np.zeros(256, dtype=np.float32)
    tones[0] = rows.get("other", 0.0) * 0.7
    for number, structure in table.items():
        key = tissue_key(structure)
        tones[number] = rows.get(key, 0.0) * gains[key] + rng.normal(0, organ_hu)
    return tones


def add_tones(image: Volume, labels: Labels, tones: Float[np.ndarray, " 256"]) -> Volume:
    """Add each label's tone, softened at its border; only soft tissue takes it up."""
    shift = blur(torch.from_numpy(tones)[labels.long()][None], 0.6)[0]
    uptake = ((image + 60) / 60).clamp(0, 1)  # nothing in air, little in fat
    return image + shift * uptake


def smooth_noise(shape: tuple[int, int, int], every: int, rng: np.random.Generator) -> Volume:
    """Return noise of unit variance that varies over about ``every`` voxels."""
    points = [max(2, n // every + 2) for n in shape]
    controls = torch.from_numpy(rng.standard_normal((1, 1, *points))).float()
    return (
        torch.nn.functional.interpolate(controls, size=shape, mode="trilinear", align_corners=True)[
            0, 0
        ]
        * 1.6
    )


def add_texture(image: Volume, sd_hu: float, rng: np.random.Generator) -> Volume:
    """Add smooth texture to soft tissue."""
    shape: tuple[int, int, int] = tuple(image.shape)  # type: ignore[assignment]
    uptake = ((image + 60) / 60).clamp(0, 1)
    return image + smooth_noise(shape, 4, rng) * sd_hu * uptake


def redraw(image: Volume, labels: Labels, rng: np.random.Generator) -> Volume:
    """Draw intensities anew for every label, keeping some of each structure's own detail.

    Air stays air. Voxels without a label are told apart by their HU (`TISSUES`).
    Source: Billot et al., SynthSeg, Medical Image Analysis 2023 (the idea of drawing contrasts).
    """
    ids = labels.long().clone()
    for number, (low, high) in enumerate(TISSUES.values()):
        ids[(labels == 0) & (image >= low) & (image < high)] = 256 + number
    means = torch.zeros(260).scatter_reduce(
        0, ids.flatten(), image.flatten(), "mean", include_self=False
    )
    drawn = torch.from_numpy(rng.uniform(-120, 240, 260)).float()
    drawn[256], drawn[257] = -1000.0, float(rng.uniform(-200, 0))
    detail = (image - means[ids]).clamp(-150, 150) * float(rng.uniform(0.4, 1.2))
    fresh = blur(drawn[ids][None], float(rng.uniform(0.3, 0.8)))[0] + detail
    return torch.where(ids == 256, image, fresh)
