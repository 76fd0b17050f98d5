"""CrossConv: a query image meets every image of a support set, in its exact fast forms.

The cross-convolution of UniverSeg concatenates the query u with each support v_i and convolves:

    z_i = Conv(u || v_i),      i = 1 .. S.

A convolution is linear and a concatenation is a sum in disguise, so with the weight cut in two

    z_i = Conv_u(u) + Conv_v(v_i),                     (split: Conv_u runs once, not S times)
    mean_i z_i = Conv_u(u) + Conv_v(mean_i v_i),       (mean first: one convolution, not S)

both exact. The second holds only where no activation stands between CrossConv and the mean, as in
the released UniverSeg. There a third one holds in the first block, whose support has two channels:
two convolutions in a row are one with a wider kernel,

    Conv_s(Conv_v(v_i)) = Conv_sv(v_i),                (`composed`: 25 x 2 products for 9 x 64)

save at the image border, where the padding between the two counts; there both are run.

Everything is written for 2D and 3D grids at once. Source: Butoi et al., "UniverSeg: Universal
Medical Image Segmentation", ICCV 2023, equations 2 to 5; the reformulations are ours.
Taught in: 07
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
CONVOLVE = {2: functional.conv2d, 3: functional.conv3d}
POOLS = {2: functional.max_pool2d, 3: functional.max_pool3d}
UPSAMPLING = {2: "bilinear", 3: "trilinear"}
SLOPE = 0.01
"""Negative slope of every LeakyReLU."""

# The underscores take the sizes out of the shape checks: channels and grids change on the way.
Query = Float[Tensor, "_B _C *_grid"]
Supports = Float[Tensor, "_B _S _C *_grid"]


class ConvLayer(nn.Module):
    """A 3x3 (or 1x1) convolution with zero padding, Kaiming-normal weights and zero bias.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        dims: 2 or 3 spatial axes.
        kernel: Edge of the kernel, odd.
        activation: Whether a LeakyReLU follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        kernel: int = 3,
        activation: bool = True,
    ) -> None:
        super().__init__()
        conv = CONVS[dims](in_channels, out_channels, kernel, padding=kernel // 2)
        gain = ("leaky_relu", SLOPE) if activation else ("linear", 0.0)
        nn.init.kaiming_normal_(conv.weight, a=gain[1], nonlinearity=gain[0])
        nn.init.zeros_(conv.bias)
        self.weight, self.bias = conv.weight, conv.bias
        self.dims, self.padding, self.activation = dims, kernel // 2, activation

    def linear(self, x: Query, *, bias: bool = True) -> Query:
        """Return the convolution alone, with or without its bias."""
        term = self.bias if bias else None
        return CONVOLVE[self.dims](x, self.weight, term, padding=self.padding)

    def forward(self, x: Query) -> Query:
        """Return the convolution, activated where the layer has an activation."""
        x = self.linear(x)
        return functional.leaky_relu(x, SLOPE, inplace=True) if self.activation else x

    def each(self, x: Supports) -> Supports:
        """Apply the layer to every support (or candidate) by itself."""
        return each(self, x)


class CrossConv(nn.Module):
    """The cross-convolution, its weight stored whole as published: query channels first.

    Args:
        query_channels: Channels of the query.
        support_channels: Channels of each support.
        out_channels: Channels of each z_i.
        dims: 2 or 3 spatial axes.
        activation: Whether a LeakyReLU follows (Tyche, MultiverSeg, UniverSeg's paper).
    """

    def __init__(
        self,
        query_channels: int,
        support_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        activation: bool = False,
    ) -> None:
        super().__init__()
        whole = ConvLayer(
            query_channels + support_channels, out_channels, dims=dims, activation=activation
        )
        self.weight, self.bias = whole.weight, whole.bias
        self.query_channels, self.dims, self.activation = query_channels, dims, activation

    def of_query(self, query: Query) -> Query:
        """Return Conv_u(u), with the bias: what does not depend on the support."""
        part = self.weight[:, : self.query_channels]
        return CONVOLVE[self.dims](query, part, self.bias, padding=1)

    def of_support(self, support: Query) -> Query:
        """Return Conv_v(v), without a bias: what does not depend on the query."""
        return CONVOLVE[self.dims](support, self.weight[:, self.query_channels :], padding=1)

    def forward(self, query: Query, support: Supports) -> Supports:
        """Return z_i for every support, (B, S, C, *grid)."""
        z = self.of_query(query)[:, None] + each(self.of_support, support)
        return functional.leaky_relu(z, SLOPE, inplace=True) if self.activation else z

    def plain(self, query: Query, support: Supports) -> Supports:
        """Return z_i in the published form: concatenate the query to each support, convolve."""
        pairs = torch.cat(
            [query[:, None].expand(-1, support.shape[1], *query.shape[1:]), support], 2
        )
        z = each(lambda pair: CONVOLVE[self.dims](pair, self.weight, self.bias, padding=1), pairs)
        return functional.leaky_relu(z, SLOPE, inplace=True) if self.activation else z


def composed(cross: CrossConv, after: ConvLayer, support: Query) -> Query:
    """Return ``after.linear(cross.of_support(support))``, cheaply where the support is thin.

    The two 3-wide kernels become one of width 5. That would look through the zero padding which
    stands between the two, so the outermost pixels are computed as published, from slabs of three.

    Args:
        cross: Its support half, C channels to E.
        after: The layer of the support path, E channels to E; its activation is left out.
        support: (N, C, *grid), each side at least 3.
    """
    dims, weight = cross.dims, cross.weight[:, cross.query_channels :]
    kernel = _composed_kernel(after.weight, weight, dims)
    out = CONVOLVE[dims](support, kernel, after.bias, padding=2)
    for axis in range(2, 2 + dims):
        size = support.shape[axis]
        for start, row, edge in ((0, 0, 0), (size - 3, 2, size - 1)):
            slab = after.linear(cross.of_support(support.narrow(axis, start, 3)))
            out.narrow(axis, edge, 1).copy_(slab.narrow(axis, row, 1))
    return out


def _composed_kernel(outer: Tensor, inner: Tensor, dims: int) -> Tensor:
    """Return the kernel of the outer convolution after the inner one, (out, in, 5, 5[, 5])."""
    flipped = inner.transpose(0, 1).flip(tuple(range(2, 2 + dims)))
    return CONVOLVE[dims](outer, flipped, padding=2)


def each(layer, x: Supports) -> Supports:  # type: ignore[no-untyped-def]
    """Apply a layer for (N, C, *grid) to every element of (B, S, C, *grid)."""
    out = layer(x.flatten(0, 1))
    return out.unflatten(0, x.shape[:2])


def chunks(count: int, size: int) -> Iterator[slice]:
    """Yield slices that cut ``count`` supports into chunks of at most ``size``."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def pool(x: Query) -> Query:
    """Return the 2-fold max-pooled map (a last odd row is dropped, as published)."""
    return POOLS[x.dim() - 2](x, 2)


def upsample(x: Query) -> Query:
    """Return the map at twice the size, linearly interpolated, corners aligned as published."""
    mode = UPSAMPLING[x.dim() - 2]
    return functional.interpolate(x, scale_factor=2, mode=mode, align_corners=True)


class Joined(Sequence[Supports]):
    """Chunks of supports, upsampled and joined with their skips only when each is asked for."""

    def __init__(self, coarse: Sequence[Supports], fine: Sequence[Supports]) -> None:
        self.coarse, self.fine = coarse, fine

    def __len__(self) -> int:
        return len(self.coarse)

    def __getitem__(self, index: int) -> Supports:  # type: ignore[override]
        return torch.cat([each(upsample, self.coarse[index]), self.fine[index]], 2)
