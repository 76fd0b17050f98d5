"""Which examples to show: drawn at random, nearest to the query, or as unlike as can be.

Nearness is measured between embeddings, by cosine similarity. The embedding here is as plain as
can be: a thumbnail of a few pixels, without its mean and of unit length. It knows where in the body
a slice lies and little else; an encoder's features take its place through ``embed``.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d, normalize

from fmtutor.core.tables import unknown_name

SELECTIONS = ("random", "nearest", "diverse")
THUMBNAIL = 16
"""Pixels of a side of the thumbnail that stands for an image."""


@torch.no_grad()
def image_embedding(
    images: Float[Tensor, "N 1 *grid"], size: int = THUMBNAIL
) -> Float[Tensor, "N E"]:
    """Return a thumbnail of each image, without its mean and of unit length.

    So brightness and contrast do not count, and the scalar product of two embeddings is the
    correlation of their thumbnails. A constant image is the zero vector, near to nothing.

    Args:
        images: 2D or 3D, of one size; any intensities.
        size: Pixels of a side of the thumbnail (averages of about equal blocks); E is size^2, in
            3D size^3.

    Raises:
        ValueError: The images are neither 2D nor 3D.
    """
    pools = {4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
    if images.ndim not in pools:
        raise ValueError(
            f"images are (N, 1, H, W) or (N, 1, H, W, D), got shape {tuple(images.shape)}; add the "
            "axes of batch and channel."
        )
    thumbnails = pools[images.ndim](images, size).flatten(1)
    return normalize(thumbnails - thumbnails.mean(dim=1, keepdim=True), dim=1)


def random_support(pool_size: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return ``count`` different indices below ``pool_size``, each set equally likely.

    Raises:
        ValueError: The pool holds fewer than ``count``, or ``count`` is not positive.
    """
    _check_count(pool_size, count)
    return generator.permutation(pool_size)[:count]


def nearest_support(
    query_embedding: Float[Tensor, " E"], pool_embeddings: Float[Tensor, "N E"], count: int
) -> np.ndarray:
    """Return the indices of the examples most like the query, the nearest first.

    Args:
        query_embedding: Of the image to segment; any length, as only its direction counts.
        pool_embeddings: Of the examples there are.
        count: Examples wanted, at most N; of two equally near the earlier one is taken first.

    Raises:
        ValueError: The pool holds fewer than ``count``, or ``count`` is not positive.
    """
    _check_count(len(pool_embeddings), count)
    likeness = normalize(pool_embeddings, dim=1) @ normalize(query_embedding, dim=0)  # (N,)
    return likeness.argsort(descending=True, stable=True)[:count].cpu().numpy()


def diverse_support(pool_embeddings: Float[Tensor, "N E"], count: int) -> np.ndarray:
    """Return indices that cover the pool: the medoid, then always the example farthest from all.

    The query plays no part, so one support serves every query (and its features can be kept). The
    largest distance of any example to its nearest chosen one is at most twice the least possible.

    Args:
        pool_embeddings: Of the examples there are; only their directions count.
        count: Examples wanted, at most N; a smaller count gives the first of these.

    Raises:
        ValueError: The pool holds fewer than ``count``, or ``count`` is not positive.

    Source: Gonzalez 1985, farthest-first traversal for the k-centre problem.
    """
    _check_count(len(pool_embeddings), count)
    unit = normalize(pool_embeddings.double(), dim=1)
    apart = (2 - 2 * unit @ unit.T).clamp(min=0).sqrt()  # (N, N)
    chosen = [int(apart.sum(dim=1).argmin())]
    nearest = apart[chosen[0]].clone()  # (N,), to the nearest chosen one
    for _ in range(count - 1):
        nearest[chosen] = -1.0  # never twice, also where all that is left are duplicates
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, apart[chosen[-1]])
    return np.array(chosen)


def select(
    pool_images: Float[Tensor, "N 1 *grid"],
    query: Float[Tensor, "1 *grid"],
    count: int,
    *,
    how: str = "random",
    generator: np.random.Generator | None = None,
    embed: Callable[[Tensor], Tensor] = image_embedding,
) -> np.ndarray:
    """Choose the examples for a query out of a pool.

    Args:
        pool_images: The examples there are.
        query: The image to segment; of consequence for "nearest" alone.
        count: Examples wanted, at most N.
        how: "random", "nearest" or "diverse".
        generator: Draws for "random"; the others draw nothing.
        embed: Images (N, 1, *grid) to embeddings (N, E), e.g. an encoder's pooled features.

    Returns:
        int (count,), indices into the pool, none twice.

    Raises:
        ValueError: The pool holds fewer than ``count``, another way is asked for, or "random" has
            no generator.

    Example:
        >>> pool = torch.eye(4).reshape(4, 1, 2, 2)
        >>> select(pool, pool[2], 1, how="nearest").tolist()
        [2]
    """
    if how == "random":
        if generator is None:
            raise ValueError("a random support needs a generator; pass generator=rng(seed).")
        return random_support(len(pool_images), count, generator)
    if how == "nearest":
        return nearest_support(embed(query[None])[0], embed(pool_images), count)
    if how == "diverse":
        return diverse_support(embed(pool_images), count)
    raise unknown_name(how, SELECTIONS, "selection of a support")


def _check_count(pool_size: int, count: int) -> None:
    if not 1 <= count <= pool_size:
        raise ValueError(
            f"a support takes 1 to all of the {pool_size} examples of its pool, got count {count}; "
            "ask for fewer, or add examples."
        )
