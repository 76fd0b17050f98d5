"""A head whose weights another network writes: three 1x1x1 convolutions per (sample, class).

A controller turns what is asked for (a class name's embedding, a task's number) and what is seen
(the pooled image) into the weights theta of a tiny network, and that network reads the features:

    z = W3 relu(W2 relu(W1 x + b1) + b2) + b3,        x: 8 features of a voxel,
    theta = (W1, W2, W3, b1, b2, b3): 64 + 64 + 8 + 8 + 8 + 1 = 153 numbers for one output.

`plain_dynamic_head` is the published form: the features are repeated once per class and go through
grouped convolutions. It moves gigabytes for a few million multiplications. `dynamic_head` is equal
to it, values and gradients, without the repetition:

1. all classes read the same features, so layer 1 is one dense product, 8 -> 8 K;
2. layers 2 and 3 are batched products over the K classes;
3. the head works voxel by voxel, so it is run in chunks that stay in the cache, and the backward
   pass computes the hidden layers again in place of keeping them;
4. a (sample, class) pair that nobody annotated has no loss, so it is not computed at all.

Source: Zhang et al., DoDNet, CVPR 2021; Liu et al., CLIP-Driven Universal Model, ICCV 2023.
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fmtutor.core.axes import Known
from fmtutor.nets.head_parameters import HeadShape

CHUNK = {"cpu": 4096, "cuda": 131_072}
"""Voxels a chunk: on a CPU, 32 classes' hidden layers fit the second-level cache."""

Features = Float[Tensor, "B C H W D"]
Parameters = Float[Tensor, "B K P"]
Maps = Float[Tensor, "B KO H W D"]
"""K heads of O outputs."""


def plain_dynamic_head(
    features: Features, theta: Parameters, *, shape: HeadShape | None = None
) -> Maps:
    """Apply generated heads in the published form: repeat the features, convolve in groups.

    Args:
        features: (B, width, H, W, D), shared by all heads of a sample.
        theta: (B, K, P): one head per sample and class.
        shape: Sizes; default 8-8-8-1.

    Returns:
        (B, K * outputs, H, W, D), head after head.
    """
    shape = shape or HeadShape()
    (samples, heads), weights_biases = theta.shape[:2], shape.split(theta)
    maps = []
    for sample in range(samples):
        x = features[sample : sample + 1].repeat(1, heads, 1, 1, 1)
        for layer, (weight, bias) in enumerate(zip(*weights_biases, strict=True)):
            kernel = weight[sample].flatten(0, 1)[:, :, None, None, None]
            x = functional.conv3d(x, kernel, bias[sample].flatten(), groups=heads)
            x = x.relu() if layer < 2 else x
        maps.append(x)
    return torch.cat(maps)


def dynamic_head(
    features: Features,
    theta: Parameters,
    known: Known | None = None,
    *,
    shape: HeadShape | None = None,
    fused: bool = False,
) -> Maps:
    """Apply generated heads in the lean form, equal to `plain_dynamic_head`.

    Args:
        features: (B, width, H, W, D) of any floating type; the head computes in float32 (float64
            stays float64), also under autocast.
        theta: (B, K, P): one head per sample and class.
        known: (B, K): pairs to compute; the others are 0 and pass no gradient. None is all.
        shape: Sizes; default 8-8-8-1.
        fused: Compute the values in one kernel per chunk, made by `torch.compile`; for GPUs.

    Returns:
        (B, K * outputs, H, W, D), head after head.

    Raises:
        ValueError: Shapes do not fit one another.
    """
    shape = shape or HeadShape()
    _check(features, theta, known, shape)
    wide = torch.promote_types(features.dtype, torch.float32)
    heads, grid = theta.shape[1], features.shape[2:]
    maps = []
    with torch.autocast(features.device.type, enabled=False):
        for sample, (x, parameters) in enumerate(zip(features, theta, strict=True)):
            voxels = x.to(wide).reshape(shape.width, -1)
            asked = None if known is None else known[sample].nonzero()[:, 0]
            chosen = parameters.to(wide) if asked is None else parameters.to(wide)[asked]
            logits = _LeanHead.apply(voxels, chosen, shape, fused)  # (K', O, N)
            if asked is not None:
                every = logits.new_zeros(heads, *logits.shape[1:])
                logits = every.index_copy(0, asked, logits)
            maps.append(logits.reshape(heads * shape.outputs, *grid))
    return torch.stack(maps)


class _LeanHead(torch.autograd.Function):
    """x (C, N), theta (K, P) -> (K, O, N); the backward pass sees each chunk once more."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, shape: HeadShape, fused: bool) -> Tensor:
        ctx.save_for_backward(x, theta)
        ctx.shape = shape
        if fused:
            return _compiled(shape)(x, theta)
        out = x.new_empty(len(theta), shape.outputs, x.shape[1])
        layers = _Layers(theta, shape)
        for piece in _pieces(x):
            out[:, :, piece] = layers.values(x[:, piece])[-1]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, theta = ctx.saved_tensors
        layers = _Layers(theta, ctx.shape)
        x_grad, theta_grad = torch.empty_like(x), torch.zeros_like(theta)
        weights, biases = ctx.shape.split(theta_grad)  # views: adding to them fills theta_grad
        for piece in _pieces(x):
            x_grad[:, piece] = layers.add_gradients(x[:, piece], grad[:, :, piece], weights, biases)
        return x_grad, theta_grad, None, None


class _Layers:
    """The three layers of K heads, on a chunk of voxels."""

    def __init__(self, theta: Tensor, shape: HeadShape) -> None:
        (w1, self.w2, self.w3), biases = shape.split(theta)
        self.w1 = w1.flatten(0, 1)  # (8 K, 8): every head reads the same features
        self.b1, self.b2, self.b3 = (bias.unsqueeze(-1) for bias in biases)
        self.heads = len(theta)

    def values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return both hidden layers (K, 8, n) and the logits (K, O, n)."""
        first = torch.addmm(self.b1.flatten(0, 1), self.w1, x).relu_()
        h1 = first.view(self.heads, self.w2.shape[2], x.shape[1])
        h2 = torch.baddbmm(self.b2, self.w2, h1).relu_()
        return h1, h2, torch.baddbmm(self.b3, self.w3, h2)

    def add_gradients(
        self, x: Tensor, g3: Tensor, weights: list[Tensor], biases: list[Tensor]
    ) -> Tensor:
        """Add the chunk's part to the gradients of theta; return that of x."""
        h1, h2, _ = self.values(x)
        masked = torch.ops.aten.threshold_backward  # g where the unit was on, 0 elsewhere
        g2 = masked(torch.bmm(self.w3.mT, g3), h2, 0)
        g1 = masked(torch.bmm(self.w2.mT, g2), h1, 0)
        for layer, (g, h) in enumerate(((g1, x.expand(self.heads, -1, -1)), (g2, h1), (g3, h2))):
            if layer:
                weights[layer] += torch.bmm(g, h.mT)
            else:
                weights[0] += (g.flatten(0, 1) @ x.T).view_as(weights[0])
            biases[layer] += g.sum(2)
        return self.w1.T @ g1.flatten(0, 1)


def _pieces(x: Tensor) -> list[slice]:
    size = CHUNK.get(x.device.type, CHUNK["cuda"])
    return [slice(start, start + size) for start in range(0, x.shape[1], size)]


@cache
def _compiled(shape: HeadShape) -> Any:
    """Return the values of all heads as one kernel: 8 reads, 136 products, 1 write a voxel.

    Written out unit by unit, so that the compiler sees nothing but pointwise arithmetic and keeps
    the hidden layers in registers.
    """

    def values(x: Tensor, theta: Tensor) -> Tensor:
        units = [row[None] for row in x.unbind(0)]  # each (1, N)
        for layer, (weight, bias) in enumerate(zip(*shape.split(theta), strict=True)):
            after = []
            for unit in range(weight.shape[1]):
                z = bias[:, unit, None]
                for source, value in enumerate(units):
                    z = z + weight[:, unit, source, None] * value
                after.append(z.relu() if layer < 2 else z)
            units = after
        return torch.stack(units, 1)

    return torch.compile(values, dynamic=True)


def _check(features: Tensor, theta: Tensor, known: Tensor | None, shape: HeadShape) -> None:
    if features.shape[1] != shape.width or len(theta) != len(features):
        raise ValueError(
            f"features must be (B, {shape.width}, H, W, D) and theta (B, K, {shape.count}), not "
            f"{tuple(features.shape)} and {tuple(theta.shape)}; reduce the features first."
        )
    if known is not None and known.shape != theta.shape[:2]:
        raise ValueError(
            f"known must be {tuple(theta.shape[:2])}, one entry per head, not "
            f"{tuple(known.shape)}; build both from one vocabulary."
        )
