"""SAM's prompt encoder: points, boxes and masks become tokens and maps the decoder can read.

A place is encoded by random Fourier features, the same for a click and for a token of the image,
so that attention can compare them. A click adds a learnt vector for its sign, a box is its two
corners, and the last answer's logits go through two stride-2 convolutions and are added to the
embedding everywhere.

Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A; Tancik et al., "Fourier
Features", NeurIPS 2020.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Prompts
from fmtutor.nets.vit import CONV, ChannelNorm, Map

WAVES = {"sin": torch.sin, "cos": torch.cos}
DRAWN = 10.0
"""Logit of a mask where a click is drawn."""
IN_BOX = 0.5
"""Share of it inside a box, which also holds what is not meant."""


class FourierPositions(nn.Module):
    """Random Fourier features of places in an image.

    Args:
        features: Features of a place; a multiple of the number of waves.
        dims: Axes of the image.
        waves: Which waves are taken of each projection, in order. SAM takes a sine and a cosine,
            SAM-Med3D a sine, a cosine and the same sine again.
        point_axes: The image axis behind each component of a click's place.
        dense_axes: The same for the places of the tokens. Where the two differ, clicks and tokens
            do not agree on where they are, as in SAM-Med3D.
    """

    def __init__(
        self,
        features: int,
        dims: int,
        *,
        waves: Sequence[str] = ("sin", "cos"),
        point_axes: Sequence[int] | None = None,
        dense_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if features % len(waves):
            raise ValueError(
                f"features must be a multiple of {len(waves)} waves, got {features}; change one."
            )
        self.waves = tuple(waves)
        self.point_axes = list(point_axes or range(dims))
        self.dense_axes = list(dense_axes or range(dims))
        self.matrix: Tensor
        self.register_buffer("matrix", torch.randn(dims, features // len(waves)))

    def points(self, at: Float[Tensor, "B P dims"], image: Sequence[int]) -> Tensor:
        """Return (B, P, E) for voxel coordinates in an image of so many voxels."""
        size = torch.tensor(image, device=at.device, dtype=torch.float32)
        share = (at.float() + 0.5) / size
        return self._encode(share[..., self.point_axes])

    def dense(self, grid: Sequence[int]) -> Map:
        """Return (1, E, *grid) for the centres of a grid's cells."""
        along = [(torch.arange(size, device=self.matrix.device) + 0.5) / size for size in grid]
        share = torch.stack(torch.meshgrid(*along, indexing="ij"), -1)
        return self._encode(share[..., self.dense_axes]).movedim(-1, 0)[None]

    def _encode(self, share: Tensor) -> Tensor:
        angle = 2 * math.pi * ((2 * share - 1).to(self.matrix.dtype) @ self.matrix)
        return torch.cat([WAVES[wave](angle) for wave in self.waves], -1)


def drawn_prompts(
    prompts: Prompts, image: Sequence[int], low: Sequence[int], *, radius: float
) -> Float[Tensor, "B 1 *low"]:
    """Return a map in [-1, 1]: blobs at clicks, positive inside and negative outside, filled boxes.

    Args:
        prompts: Points and boxes in voxels of the image.
        image: Its voxels along each axis.
        low: Voxels of the map.
        radius: Standard deviation of a blob, in voxels of the map.
    """
    device = prompts.points.device
    scale = torch.tensor(low, device=device) / torch.tensor(image, device=device)
    at = (prompts.points.float() + 0.5) * scale - 0.5
    sign = (prompts.labels == INSIDE).float() - (prompts.labels == OUTSIDE).float()
    cells = [torch.arange(count, device=device) for count in low]
    falls = [torch.exp(-0.5 * ((c - at[..., i, None]) / radius) ** 2) for i, c in enumerate(cells)]
    drawn = _product(sign, falls).sum(1, keepdim=True)
    if prompts.boxes is not None:
        ends = (prompts.boxes.float() + torch.tensor([[0.0], [1.0]], device=device)) * scale - 0.5
        within = [
            (c >= ends[:, :1, i, None]) & (c <= ends[:, 1:, i, None]) for i, c in enumerate(cells)
        ]
        drawn = drawn + _product(torch.full_like(ends[:, :1, 0], IN_BOX), within)
    return drawn.clamp(-1, 1)


def _product(value: Float[Tensor, "B P"], lines: Sequence[Tensor]) -> Float[Tensor, "B P *low"]:
    """Return a value times one line (B, P, count) along each axis of a map."""
    for axis, line in enumerate(lines):
        value = value[..., None] * line[:, :, *[None] * axis]
    return value


class PromptEncoder(nn.Module):
    """Prompts to sparse tokens and a dense map.

    Args:
        features: Features of a token (E).
        dims: Axes of the image.
        boxes: Whether boxes can be asked (SAM-Med3D has no vectors for corners).
        mask_features: Hidden channels of the branch for masks.
        waves: See `FourierPositions`.
        point_axes: See `FourierPositions`.
        dense_axes: See `FourierPositions`.
        drawn: Radius, in voxels of a mask, of the blob that a click draws into the last mask, where
            boxes are filled too; 0 draws nothing, as published.
    """

    def __init__(
        self,
        features: int,
        dims: int,
        *,
        boxes: bool = True,
        mask_features: int = 16,
        drawn: float = 0.0,
        waves: Sequence[str] = ("sin", "cos"),
        point_axes: Sequence[int] | None = None,
        dense_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        conv = CONV[dims]
        self.dims, self.boxes, self.drawn = dims, boxes, drawn
        self.place = FourierPositions(
            features, dims, waves=waves, point_axes=point_axes, dense_axes=dense_axes
        )
        count = 4 if boxes else 2
        self.kinds = nn.ParameterList(nn.Parameter(torch.randn(1, features)) for _ in range(count))
        self.no_point = nn.Parameter(torch.randn(1, features))
        self.no_mask = nn.Parameter(torch.randn(1, features))
        self.mask = nn.Sequential(
            conv(1, mask_features // 4, 2, stride=2),
            ChannelNorm(mask_features // 4),
            nn.GELU(),
            conv(mask_features // 4, mask_features, 2, stride=2),
            ChannelNorm(mask_features),
            nn.GELU(),
            conv(mask_features, features, 1),
        )

    def sparse(self, prompts: Prompts, image: Sequence[int]) -> Float[Tensor, "B N E"]:
        """Return one token per point and two per box.

        Without a box one more token says "no point": SAM was trained so.

        Raises:
            ValueError: A box is asked of an encoder without vectors for corners.
        """
        tokens = []
        points, labels = prompts.points, prompts.labels
        if points.shape[1]:
            if prompts.boxes is None:
                points = torch.cat([points, points.new_zeros(len(points), 1, self.dims)], 1)
                labels = torch.cat([labels, labels.new_full((len(labels), 1), NOTHING)], 1)
            tokens.append(self._of_points(points, labels, image))
        if prompts.boxes is not None:
            if not self.boxes:
                raise ValueError(
                    "this network has no embedding for boxes, got one; ask it with points, or "
                    "build it with boxes=True."
                )
            corners = torch.cat([self.kinds[2], self.kinds[3]])
            tokens.append(self.place.points(prompts.boxes, image) + corners)
        if not tokens:
            return self.no_point.new_zeros(len(prompts), 0, self.no_point.shape[1])
        return torch.cat(tokens, 1)

    def dense(self, prompts: Prompts, grid: Sequence[int], image: Sequence[int]) -> Map:
        """Return what the last answer adds to the embedding, (B, E, *grid).

        Args:
            prompts: Their mask has four times the grid's resolution.
            grid: Tokens of the image.
            image: Voxels of the image, in which clicks are counted.
        """
        if self.drawn and (prompts.points.shape[1] or prompts.boxes is not None):
            low = [4 * size for size in grid]
            drawn = DRAWN * drawn_prompts(prompts, image, low, radius=self.drawn)
            return self.mask(drawn if prompts.mask is None else drawn + prompts.mask)
        if prompts.mask is not None:
            return self.mask(prompts.mask)
        nothing = self.no_mask.view(1, -1, *[1] * self.dims)
        return nothing.expand(len(prompts), -1, *grid)

    def _of_points(self, points: Tensor, labels: Tensor, image: Sequence[int]) -> Tensor:
        kind = labels.unsqueeze(-1)
        encoded = self.place.points(points, image)
        signed = encoded + torch.where(kind == INSIDE, self.kinds[INSIDE], self.kinds[OUTSIDE])
        return torch.where(kind == NOTHING, self.no_point, signed)
