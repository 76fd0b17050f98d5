"""SSF: a scale and a shift for every channel after an operation of a network.

    y = gamma x + beta,    gamma = 1 and beta = 0 at the start

Once trained both fold into the operation before them: a linear layer, a convolution, or a norm.

Source: Lian et al., "Scaling and shifting your features", NeurIPS 2022.
"""

import copy

import torch
from torch import Tensor, nn


class ScaleShift(nn.Module):
    """A layer with a scale and a shift behind it.

    Args:
        layer: A linear layer, a 3D convolution, transposed or not, or a norm.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = layer
        channels = channels_of(layer)
        device = next((p.device for p in layer.parameters()), None)
        self.feature_scale = nn.Parameter(torch.ones(channels, device=device))
        self.feature_shift = nn.Parameter(torch.zeros(channels, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted output of the layer."""
        scale, shift = self.feature_scale, self.feature_shift
        if not isinstance(self.base_layer, (nn.Linear, nn.LayerNorm)):
            scale, shift = scale.view(-1, 1, 1, 1), shift.view(-1, 1, 1, 1)
        return self.base_layer(x) * scale + shift

    def merged(self) -> nn.Module:
        """Return the one layer that gives the same; it has a bias, whether it had one or not."""
        layer = copy.deepcopy(self.base_layer)
        scale, shift = self.feature_scale.detach(), self.feature_shift.detach()
        with torch.no_grad():
            weight = torch.ones_like(scale) if layer.weight is None else layer.weight
            axis = 1 if isinstance(layer, nn.ConvTranspose3d) else 0
            shape = [-1 if i == axis else 1 for i in range(weight.dim())]
            bias = torch.zeros_like(scale) if layer.bias is None else layer.bias
            layer.weight = nn.Parameter(weight * scale.view(shape))
            layer.bias = nn.Parameter(bias * scale + shift)
        if hasattr(layer, "affine"):
            layer.affine = True
        return layer


def channels_of(layer: nn.Module) -> int:
    """Return how many channels a layer gives.

    Raises:
        ValueError: It is no linear layer, convolution or norm.
    """
    for name in ("out_features", "out_channels", "num_features", "num_channels"):
        if hasattr(layer, name):
            return int(getattr(layer, name))
    if isinstance(layer, nn.LayerNorm):
        return int(layer.normalized_shape[-1])
    raise ValueError(
        f"a scale and a shift follow a linear layer, a convolution or a norm, got a "
        f"{type(layer).__name__}; choose another layer."
    )
