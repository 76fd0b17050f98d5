"""Seeded diffeomorphic deformations: one patient's anatomy bent into many.

A stationary velocity field v (smooth noise, plus for every organ a push and a swelling, plus a
growth of the subcutaneous fat) is integrated by scaling and squaring, phi = exp(v), so the map is
smooth and invertible: organs bend, shrink and move but never fold or overlap. An affine map
(body size, roll) comes first. All maps are *backward*: they send a voxel of the new patient to the
place in the template that it shows.

Source: Arsigny et al., A Log-Euclidean Framework for Statistics on Diffeomorphisms, MICCAI 2006.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Field = Float[Tensor, "3 H W D"]

HALVING = 2
"""Fields live on a grid this many times coarser than the template: they are smooth."""


@dataclass(frozen=True, kw_only=True)
class Warp:
    """The numbers of one deformation, in millimetres, drawn before anything is computed."""

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Size of the new body relative to the template along H, W, D."""
    roll_deg: float = 0.0
    """Rotation about the foot-head axis."""
    coarse_mm: float = 0.0
    """Standard deviation of the velocity noise with control points every 90 mm."""
    fine_mm: float = 0.0
    """The same, control points every 36 mm."""
    fat_mm: float = 0.0
    """How far the skin moves outwards (negative: inwards)."""
    organs: Mapping[str, tuple[float, float, float, float]]
    """For each organ group: log of its size, and its push along H, W, D in mm.

    Its middle follows in full, its border by about half, and an organ thinner than 25 mm by less:
    the weights of the organs are blurred by 12 mm, so that neighbours move together.
    """
    noise_seed: int = 0
    """Seed of the velocity noise."""


def blur(volume: Float[Tensor, "C H W D"], sigma: float) -> Float[Tensor, "C H W D"]:
    """Gaussian blur with replicated borders, sigma in voxels; 0 changes nothing."""
    if sigma <= 0:
        return volume
    radius = max(1, int(2.5 * sigma + 0.5))
    x = torch.arange(-radius, radius + 1, dtype=volume.dtype)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1, 1)
    out = volume.unsqueeze(1)
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 2 * radius + 1
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        out = functional.conv3d(functional.pad(out, pad, mode="replicate"), kernel.view(shape))
    return out.squeeze(1)


def sample_at(
    volume: Float[Tensor, "C H W D"],
    points: Float[Tensor, "3 X Y Z"],
    *,
    nearest: bool = False,
    border: bool = True,
) -> Float[Tensor, "C X Y Z"]:
    """Read a volume at voxel coordinates, linearly or by the nearest voxel.

    Args:
        volume: What to read.
        points: Voxel coordinates (h, w, d), one triple for each output voxel.
        nearest: Take the nearest voxel instead of interpolating.
        border: Outside the volume repeat its border; otherwise read 0.
    """
    size = torch.tensor(volume.shape[1:], dtype=points.dtype).view(3, 1, 1, 1)
    grid = (2 * points / (size - 1) - 1).flip(0).permute(1, 2, 3, 0).unsqueeze(0)
    mode, padding = "nearest" if nearest else "bilinear", "border" if border else "zeros"
    return functional.grid_sample(
        volume.unsqueeze(0), grid, mode=mode, padding_mode=padding, align_corners=True
    )[0]


def voxel_grid(shape: tuple[int, int, int]) -> Field:
    """Return the coordinates of every voxel."""
    return torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))


class Deformer:
    """Everything about a template that deformations need, computed once.

    Args:
        labels: Integer (H, W, D) label map of the template.
        body: Boolean (H, W, D), the patient without air and table.
        organs: Organ group to its label ids.
        spacing_mm: Edge of the (isotropic) voxels.
    """

    def __init__(
        self,
        labels: np.ndarray,
        body: np.ndarray,
        *,
        organs: Mapping[str, tuple[int, ...]],
        spacing_mm: float,
    ) -> None:
        self.shape: tuple[int, int, int] = labels.shape  # type: ignore[assignment]
        self.spacing_mm = spacing_mm
        h, w, d = (-(-n // HALVING) for n in self.shape)
        half = (h, w, d)
        masks = torch.from_numpy(
            np.stack([np.isin(labels, ids) for ids in organs.values()])
        ).float()
        soft = blur(
            functional.interpolate(masks[None], size=half, mode="area")[0], 2.0
        )  # (organs, h, w, d)
        self.organs = {name: index for index, name in enumerate(organs)}
        self.weights = soft / soft.sum(0, keepdim=True).clamp(min=1.0)
        grid = voxel_grid(half) * HALVING
        mass = masks.sum((1, 2, 3)).clamp(min=1)
        full = voxel_grid(self.shape)
        self.centres = torch.einsum("ohwd,chwd->oc", masks, full) / mass[:, None]
        self.grid = grid
        self.radial = self._radial(body, grid)

    def _radial(self, body: np.ndarray, grid: Field) -> Field:
        """Outward unit vectors in the axial plane, 0 up to 60 % of the way to the skin."""
        h, w, _ = np.nonzero(body)
        centre = torch.tensor([h.mean(), w.mean()]).float()
        extent = torch.tensor([h.std(), w.std()]).float() * 2.0
        offset = (grid[:2] - centre.view(2, 1, 1, 1)) / extent.view(2, 1, 1, 1)
        radius = offset.norm(dim=0, keepdim=True).clamp(min=1e-3)
        ramp = ((radius - 0.6) / 0.4).clamp(0, 1.25)
        return torch.cat([offset / radius * ramp, torch.zeros_like(ramp)])

    def velocity(self, warp: Warp) -> Field:
        """Return the velocity field of a warp, in template voxels on the coarse grid."""
        rng = np.random.default_rng(warp.noise_seed)
        mm = self.spacing_mm
        v = self._noise(rng, 90.0) * (warp.coarse_mm / mm) + self._noise(rng, 36.0) * (
            warp.fine_mm / mm
        )
        v = v - self.radial * (warp.fat_mm / mm)  # backward map: to look further in is to grow
        for name, (log_size, *push_mm) in warp.organs.items():
            index = self.organs[name]
            push = torch.tensor(push_mm).view(3, 1, 1, 1) / mm
            swell = log_size * (self.grid - self.centres[index].view(3, 1, 1, 1))
            v = v - self.weights[index] * (push + swell)
        return v

    def _noise(self, rng: np.random.Generator, every_mm: float) -> Field:
        points = [max(2, round(n * self.spacing_mm / every_mm) + 1) for n in self.shape]
        controls = torch.from_numpy(rng.standard_normal((1, 3, *points))).float()
        noise = functional.interpolate(
            controls, size=self.grid.shape[1:], mode="trilinear", align_corners=True
        )[0]
        return blur(noise, every_mm / self.spacing_mm / HALVING / 4)

    def displacement(self, warp: Warp, *, squarings: int = 5) -> Field:
        """Integrate a warp's velocity: u with phi(x) = x + u(x), on the coarse grid."""
        u = self.velocity(warp) / 2**squarings
        for _ in range(squarings):
            u = u + sample_at(u, (self.grid + u) / HALVING)
        return u

    def source_of(self, warp: Warp, points: Float[Tensor, "3 X Y Z"]) -> Float[Tensor, "3 X Y Z"]:
        """Send voxels of the new patient to template voxels.

        Args:
            warp: The deformation.
            points: Voxel coordinates on a grid with the template's spacing and centre.
        """
        centre = (torch.tensor(self.shape).float().view(3, 1, 1, 1) - 1) / 2
        angle = np.deg2rad(warp.roll_deg)
        turn = torch.tensor(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        )
        matrix = torch.diag(1 / torch.tensor(warp.scale)).float() @ turn.float()
        flat = torch.einsum("ij,jxyz->ixyz", matrix, points - centre) + centre
        return flat + sample_at(self.displacement(warp), flat / HALVING)


def jacobian_determinant(points: Float[Tensor, "3 X Y Z"]) -> Float[Tensor, "X Y Z"]:
    """Return the local volume change of a map given at every voxel; positive means no folding."""
    gradients = torch.stack([torch.stack(torch.gradient(component)) for component in points])
    return torch.linalg.det(gradients.permute(2, 3, 4, 0, 1))
