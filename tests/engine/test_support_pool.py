"""Examples before a network: framed, cut, chosen."""

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.ask import Support
from fmtutor.core.seeds import rng
from fmtutor.engine.support_pool import SupportPool, dims_of, frame_of, pool_of
from fmtutor.engine.support_selection import diverse_support, image_embedding, nearest_support
from tests.engine.example_network import disc


def volume(edges_mm: tuple[float, float, float], size: int = 24, radius_mm: float = 8.0):
    """A ball in the middle of a cube of 24 mm, with voxels of these edges."""
    shape = [round(size / mm) for mm in edges_mm]
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, edges_mm, strict=True)]
    h, w, d = np.meshgrid(*axes, indexing="ij")
    mask = h**2 + w**2 + d**2 < radius_mm**2
    return np.where(mask, 0.8, 0.2).astype(np.float32), mask


def test_pictures_of_any_size_come_into_one_square_unstretched():
    (image, mask), wide = disc(20, 0.8), np.zeros((10, 40), bool)
    wide[2:8, 10:30] = True
    support = Support((image, wide * 0.5), (mask, wide))
    pool = pool_of(support, size=32)
    assert pool.images.shape == pool.masks.shape == (2, 1, 32, 32)
    rows, columns = pool.masks[1, 0].any(1).sum(), pool.masks[1, 0].any(0).sum()
    assert (int(rows), int(columns)) == (4, 16), "on a 10x40 picture as wide as the square"
    assert pool.masks.unique().tolist() == [0, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_gives_a_2d_network_the_slices_that_show_the_structure(axis):
    image, mask = volume((1.0, 1.5, 2.0))
    support = Support((image,), (mask,), spacings_mm=((1.0, 1.5, 2.0),))
    pool = pool_of(support, size=24, axis=axis)
    showing = int(mask.any(axis=tuple({0, 1, 2} - {axis})).sum())
    assert len(pool) == showing < mask.shape[axis]
    assert pool.masks.flatten(1).any(1).all()
    middle = pool.masks[len(pool) // 2, 0]
    height, width = int(middle.any(1).sum()), int(middle.any(0).sum())
    assert abs(height - width) <= 2, "the ball is round in millimetres, whatever its voxels"


def test_a_volume_stays_one_example_of_a_3d_network():
    image, mask = volume((1.0, 1.5, 2.0))
    support = Support((image,) * 2, (mask,) * 2, spacings_mm=((1.0, 1.5, 2.0),) * 2)
    pool = pool_of(support, size=12, dims=3)
    assert pool.images.shape == (2, 1, 12, 12, 12)
    assert float(pool.masks[0].sum()) == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.12)


def test_an_empty_picture_stays_an_example_as_it_was_given_as_one():
    image, mask = disc(16, 0.8)
    pool = pool_of(Support((image, image), (mask, mask & False)), size=16)
    assert pool.masks.flatten(1).any(1).tolist() == [True, False]


def test_examples_that_do_not_fit_are_refused():
    image, mask = disc(16, 0.8)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\], got 300 to 800 in support 'structure'"):
        pool_of(Support((image * 1000,), (mask,)), size=16)
    with pytest.raises(ValueError, match=r"3D network takes volumes.*shape \(16, 16\)"):
        pool_of(Support((image,), (mask,)), size=16, dims=3)
    dot = np.zeros((64, 64), bool)
    dot[5, 5] = True
    with pytest.raises(ValueError, match="must show the structure at 8 pixels a side"):
        pool_of(Support((dot * 0.5,), (dot,)), size=8)


def pool_and_queries() -> tuple[SupportPool, torch.Tensor]:
    images = torch.from_numpy(rng("pool").random((12, 1, 16, 16), dtype=np.float32))
    return SupportPool.of(images, (images > 0.5).float()), images[[3, 7, 7]] * 0.5


@pytest.mark.parametrize("count", [None, 12, 40])
@pytest.mark.parametrize("select", ["nearest", "diverse", "random"])
def test_where_there_are_no_more_all_are_shown_to_all_queries(count, select):
    pool, queries = pool_and_queries()
    assert pool.chosen(queries, count, select=select).tolist() == [list(range(12))]


def test_the_nearest_are_chosen_for_each_query_and_the_others_once():
    pool, queries = pool_and_queries()
    near = pool.chosen(queries, 4)
    assert near.shape == (3, 4)
    assert near[:, 0].tolist() == [3, 7, 7]
    expected = nearest_support(image_embedding(queries)[0], pool.embeddings, 4)
    assert near[0].tolist() == expected.tolist()
    apart = pool.chosen(queries, 4, select="diverse")
    assert apart.tolist() == [diverse_support(pool.embeddings, 4).tolist()]
    drawn = pool.chosen(queries, 4, select="random", generator=rng(0))
    assert drawn.shape == (1, 4)
    assert drawn.tolist() == pool.chosen(queries, 4, select="random", generator=rng(0)).tolist()


def test_pools_are_joined_in_order_with_the_embeddings_they_have():
    pool, queries = pool_and_queries()
    more = SupportPool.of(queries, torch.ones_like(queries))
    both = pool.joined(more)
    assert len(both) == 15
    assert torch.equal(both.images[12:], queries)
    assert torch.equal(both.masks[:12], pool.masks)
    torch.testing.assert_close(both.embeddings, image_embedding(both.images))
    assert both.chosen(queries, 2)[0].tolist() == [3, 12], (
        "the query itself, and what it is made of"
    )


def test_other_ways_no_generator_and_no_examples_are_refused():
    pool, queries = pool_and_queries()
    with pytest.raises(ValueError, match="did you mean nearest"):
        pool.chosen(queries, None, select="neares")
    with pytest.raises(ValueError, match="needs a generator"):
        pool.chosen(queries, 4, select="random")
    with pytest.raises(ValueError, match="got count 0"):
        pool.chosen(queries, 0)


def test_the_axes_of_a_network_are_those_of_its_convolutions():
    assert dims_of(nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 3))) == 2
    assert dims_of(nn.Sequential(nn.Conv3d(1, 1, 3))) == 3
    with pytest.raises(ValueError, match="has convolutions, got none"):
        dims_of(nn.Linear(2, 2))


def test_the_frame_follows_the_axes_of_the_image():
    assert frame_of((8, 4), (1.0, 1.0), 16).inner == (16, 8)
    assert frame_of((8, 4, 2), (1.0, 1.0, 1.0), 16).inner == (16, 8, 4)
