"""A volume's windows, one by one: where each lies, and how their answers are blended.

`fmtutor.engine.sliding_window` hands windows to a network. Here a window has a number, so that its
features can be kept and whatever acts on them be run again: the same blend, to the last bit of
float32 (a test).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_WEIGHT = 1e-3
"""What MONAI raises the Gaussian's smallest weight to."""


class Windows:
    """The windows of a volume that is at least as large as one.

    Args:
        shape: Sides of the volume.
        patch: Sides of a window.
        overlap: Share of a window that its neighbour covers too, in [0, 1).

    Raises:
        ValueError: The volume is smaller than a window.

    Example:
        >>> len(Windows((64, 32, 32), (32, 32, 32), overlap=0.25))
        3
    """

    def __init__(
        self, shape: Sequence[int], patch: Sequence[int], *, overlap: float = 0.25
    ) -> None:
        from monai.data.utils import compute_importance_map, dense_patch_slices

        if any(side < size for side, size in zip(shape, patch, strict=True)):
            raise ValueError(
                f"a volume must be at least one window large, got {tuple(shape)} for windows of "
                f"{tuple(patch)}; pad it."
            )
        steps = [
            size if size == side else max(1, int(size * (1 - overlap)))
            for side, size in zip(shape, patch, strict=True)
        ]
        self.shape, self.patch = tuple(shape), tuple(patch)
        self.places = dense_patch_slices(self.shape, self.patch, steps)
        weights = compute_importance_map(self.patch, mode="gaussian", sigma_scale=0.125)
        self.weights = weights.float().clamp(min=max(float(weights.min()), LEAST_WEIGHT))

    def __len__(self) -> int:
        return len(self.places)

    def crop(self, image: Float[Tensor, "C H W D"], number: int) -> Float[Tensor, "C h w d"]:
        """Return a window of an image."""
        return image[(slice(None), *self.places[number])].contiguous()

    def blend(
        self, logits_of: Callable[[Sequence[int]], Tensor], *, batch: int = 2
    ) -> Float[Tensor, "H W D"]:
        """Return the blended probabilities of one class.

        Args:
            logits_of: Numbers of windows to logits (b, 1, *patch).
            batch: Windows asked at a time.
        """
        return self.blend_classes(logits_of, torch.sigmoid, classes=1, batch=batch)[0]

    @torch.inference_mode()
    def blend_classes(
        self,
        logits_of: Callable[[Sequence[int]], Tensor],
        probabilities: Callable[[Tensor], Tensor],
        *,
        classes: int,
        batch: int = 2,
    ) -> Float[Tensor, "L H W D"]:
        """Return the blended probabilities of every class.

        Args:
            logits_of: Numbers of windows to logits (b, L, *patch).
            probabilities: Of logits: a sigmoid, or a softmax over the classes.
            classes: L.
            batch: Windows asked at a time.
        """
        total, weight = torch.zeros(classes, *self.shape), torch.zeros(self.shape)
        for first in range(0, len(self), batch):
            numbers = range(first, min(first + batch, len(self)))
            answers = probabilities(logits_of(numbers).float()).cpu()
            for number, answer in zip(numbers, answers, strict=True):
                total[(slice(None), *self.places[number])] += self.weights * answer
                weight[self.places[number]] += self.weights
        return total / weight
