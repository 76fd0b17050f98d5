"""The parameters of a generated head: how many, in which order, and the layer that writes them.

Source: Zhang et al., DoDNet, CVPR 2021; Liu et al., CLIP-Driven Universal Model, ICCV 2023.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """Sizes of the generated network."""

    width: int = 8
    """Features per voxel, and units of both hidden layers."""
    outputs: int = 1
    """Outputs of one generated network: 1 per class (CLIP-Driven), 2 per task (DoDNet)."""

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Units of input, hidden, hidden and output."""
        return (self.width, self.width, self.width, self.outputs)

    @property
    def count(self) -> int:
        """Numbers that a controller has to produce.

        Example:
            >>> HeadShape().count, HeadShape(outputs=2).count
            (153, 162)
        """
        return sum((inputs + 1) * outputs for inputs, outputs in pairwise(self.sizes))

    def split(self, theta: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Cut (..., P) into three weights (..., out, in) and three biases (..., out).

        All weights come first, then all biases, as published.

        Raises:
            ValueError: P is another number.
        """
        if theta.shape[-1] != self.count:
            raise ValueError(
                f"a head of {self.width} features and {self.outputs} outputs has {self.count} "
                f"parameters, got {theta.shape[-1]}; give the controller that many outputs."
            )
        pairs = list(pairwise(self.sizes))
        parts = theta.split([i * o for i, o in pairs] + [o for _, o in pairs], dim=-1)
        weights = [
            part.unflatten(-1, (o, i)) for part, (i, o) in zip(parts[:3], pairs, strict=True)
        ]
        return weights, list(parts[3:])


class HeadController(nn.Linear):
    """A linear layer that writes the parameters of a head.

    Its bias starts as a sensible head of its own (He initialisation), which the inputs modulate:
    from a plain linear initialisation the generated layers start so small that little gets through.

    Args:
        in_features: Length of what it reads.
        shape: Sizes of the head.
    """

    rate = 0.01
    """Learning rate relative to that of a linear head (`fmtutor.bench.training`): a generated
    weight moves by the sum over hundreds of inputs. Of 0.003, 0.01, 0.03 and 0.1 this one learnt
    best in trials of 400 steps with one seed, which are not kept: a choice, not a finding."""

    def __init__(self, in_features: int, shape: HeadShape) -> None:
        super().__init__(in_features, shape.count)
        self.outputs = shape.outputs
        with torch.no_grad():
            weights, biases = shape.split(self.bias)  # views
            for weight in weights:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            for bias in biases:
                bias.zero_()

    def expect(self, prior: float) -> None:
        """Set the biases of the head's outputs so that all start from this probability.

        Raises:
            ValueError: ``prior`` is outside (0, 1).
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie in (0, 1), not {prior}; give a share of voxels.")
        with torch.no_grad():
            self.bias[-self.outputs :] = math.log(prior / (1 - prior))
