"""A square picture with what is annotated in it, moved and re-lit before objects are asked for.

Slices of patients and everyday pictures become the same thing, a `Scene`, so that one stream can
train a promptable network on either or on both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn import functional


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """One square picture, or a slab of neighbouring slices."""

    image: Float[np.ndarray, "H W D"]
    """Values in [0, 1]; D is 1, or the number of neighbouring slices."""
    labels: UInt8[np.ndarray, "H W D"]
    """Label ids, 0 where nothing is annotated."""
    regions: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name to label ids of everything that may be asked for; empty where nothing is annotated."""
    asked: str = ""
    """The region that the scene was drawn for: rare ones are shown as often as large ones."""
    border: str = "zeros"
    """What lies around it: "zeros" (air around a slice) or "reflection"."""


@runtime_checkable
class SceneSource(Protocol):
    """Anything that scenes are drawn from."""

    @property
    def size(self) -> int:
        """Pixels along each side."""

    @property
    def depth(self) -> int:
        """Slices of a scene."""

    def scene(self, rng: np.random.Generator) -> Scene:
        """Draw a scene."""


class Mixture:
    """Several sources drawn by weight.

    Args:
        sources: Of one size and depth.
        weights: How often each is drawn, relative to the others.

    Raises:
        ValueError: There is not one weight a source, or sizes differ.
    """

    def __init__(self, sources: Sequence[SceneSource], weights: Sequence[float]) -> None:
        shapes = {(source.size, source.depth) for source in sources}
        if len(shapes) != 1 or len(weights) != len(sources) or min(weights) < 0:
            raise ValueError(
                f"a mixture needs sources of one (size, depth) and a weight each, got {shapes} and "
                f"{len(weights)} weights for {len(sources)} sources."
            )
        (self.size, self.depth), self.sources = shapes.pop(), tuple(sources)
        self.shares = np.array(weights) / np.sum(weights)

    def scene(self, rng: np.random.Generator) -> Scene:
        """Draw a source, then a scene of it."""
        return self.sources[rng.choice(len(self.sources), p=self.shares)].scene(rng)


@dataclass(frozen=True, kw_only=True)
class SceneAugmentation:
    """How a scene is changed; all slices of a slab alike."""

    zoom: tuple[float, float] = (0.7, 1.4)
    """Range of the zoom, log-uniform; above 1 things look larger."""
    rotation_deg: float = 20.0
    """Largest turn to either side."""
    shift: float = 0.12
    """Largest shift along each axis, as a part of the side."""
    flip: float = 0.5
    """Chance of mirroring, of each axis."""
    gamma: float = 0.25
    """Standard deviation of the log of the random gamma."""
    contrast: float = 0.2
    """Half-width of the random gain."""
    brightness: float = 0.1
    """Half-width of the random offset."""
    invert: float = 0.1
    """Share of scenes whose intensities are inverted, air excepted."""
    noise: float = 0.04
    """Largest standard deviation of the added noise."""

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom is a rising range above 0, got {self.zoom}; use (0.7, 1.4).")


def augmented(scene: Scene, config: SceneAugmentation, rng: np.random.Generator) -> Scene:
    """Return a scene moved by one random map and lit anew."""
    moved = _moved(scene, _backward_map(config, rng))
    return replace(moved, image=_relit(moved.image, config, rng))


def _backward_map(c: SceneAugmentation, rng: np.random.Generator) -> torch.Tensor:
    """Return (2, 3): places of the result to the places that they show, -1 to 1, x before y."""
    turn = np.deg2rad(rng.uniform(-c.rotation_deg, c.rotation_deg))
    zoom = np.exp(rng.uniform(*np.log(c.zoom)))
    mirror = np.where(rng.random(2) < c.flip, -1.0, 1.0)
    shift = rng.uniform(-2 * c.shift, 2 * c.shift, 2)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack((turned * mirror / zoom, shift))
    return torch.from_numpy(matrix.astype(np.float32))


def _moved(scene: Scene, matrix: torch.Tensor) -> Scene:
    height, width, _ = scene.image.shape
    places = functional.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)

    def read(maps: np.ndarray, mode: str) -> np.ndarray:
        values = torch.from_numpy(np.ascontiguousarray(maps.transpose(2, 0, 1), dtype=np.float32))
        found = functional.grid_sample(
            values[None], places, mode=mode, padding_mode=scene.border, align_corners=False
        )
        return found[0].permute(1, 2, 0).numpy()

    labels = scene.labels  # an unannotated picture has nothing to move
    if scene.regions:
        labels = read(labels, "nearest").astype(np.uint8)
    return replace(scene, image=read(scene.image, "bilinear"), labels=labels)


def _relit(image: np.ndarray, c: SceneAugmentation, rng: np.random.Generator) -> np.ndarray:
    power = np.float32(np.exp(rng.normal(0, c.gamma)))
    gain = np.float32(1 + rng.uniform(-c.contrast, c.contrast))
    offset = np.float32(rng.uniform(-c.brightness, c.brightness))
    spread = np.float32(rng.uniform(0, c.noise))
    inverted = rng.random() < c.invert
    image = np.clip(image, 0, 1)
    body = image > 0  # air is exactly 0 in every slice that a network will be asked about
    image = np.power(1 - image if inverted else image, power)
    image = (image - 0.5) * gain + (0.5 + offset)
    image = image + rng.standard_normal(image.shape, dtype=np.float32) * spread
    return np.clip(image * body, 0, 1)
