"""Choosing examples: what each way promises, on embeddings whose geometry is known."""

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng, torch_rng
from fmtutor.engine.support_selection import (
    diverse_support,
    image_embedding,
    nearest_support,
    random_support,
    select,
)


def on_a_circle(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def images_of(count: int, size: int = 32) -> torch.Tensor:
    return torch.rand((count, 1, size, size), generator=torch_rng("images", count))


def test_a_random_support_is_drawn_without_repeats_and_from_its_generator_alone():
    drawn = random_support(10, 6, rng(0))
    assert len(set(drawn.tolist())) == 6
    assert drawn.tolist() == random_support(10, 6, rng(0)).tolist()
    often = np.bincount(
        np.concatenate([random_support(5, 2, generator) for generator in [rng(1)] * 2000])
    )
    assert (abs(often / 2000 - 0.4) < 0.05).all(), "each example equally often"


def test_the_nearest_come_first_whatever_the_length_of_their_vectors():
    pool = on_a_circle(0, 90, 40, 180, 20) * torch.tensor([[1.0], [9.0], [0.1], [50.0], [1.0]])
    query = 3 * on_a_circle(35)[0]
    assert nearest_support(query, pool, 3).tolist() == [2, 4, 0]
    assert nearest_support(query, pool, 5).tolist() == [2, 4, 0, 1, 3]


def test_of_equally_near_examples_the_earlier_one_is_taken():
    assert nearest_support(on_a_circle(0)[0], on_a_circle(90, 10, 10, 10), 2).tolist() == [1, 2]


def test_the_diverse_support_starts_at_the_medoid_and_goes_to_the_farthest():
    pool = on_a_circle(-50, -4, 0, 5, 70)
    assert diverse_support(pool, 3).tolist() == [2, 4, 0]
    assert diverse_support(pool, 5).tolist()[:3] == [2, 4, 0], "more examples keep the first ones"


def test_duplicates_are_left_for_last_and_never_taken_twice():
    pool = on_a_circle(10, 10, 10, 100)
    chosen = diverse_support(pool, 4).tolist()
    assert sorted(chosen) == [0, 1, 2, 3]
    assert chosen[1] == 3


def test_the_diverse_support_covers_within_twice_the_best_and_better_than_chance():
    pool = torch.nn.functional.normalize(torch.randn((60, 3), generator=torch_rng("pool")), dim=1)

    def radius(chosen: np.ndarray) -> float:
        return float(torch.cdist(pool, pool[chosen]).min(dim=1).values.max())

    by_chance = [radius(random_support(60, 6, rng(seed))) for seed in range(300)]
    assert radius(diverse_support(pool, 6)) <= 2 * min(by_chance)
    assert radius(diverse_support(pool, 6)) < np.median(by_chance)


def test_the_embedding_ignores_brightness_and_contrast_and_fine_detail():
    images = images_of(3)
    embedded = image_embedding(images)
    assert embedded.shape == (3, 256)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(embedded.mean(dim=1), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(image_embedding(5 * images + 2), embedded, atol=1e-5, rtol=0)
    checks = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).tile(16, 16)  # nothing in any 2x2 block
    torch.testing.assert_close(image_embedding(images + checks), embedded, atol=1e-5, rtol=0)


def test_the_embedding_of_volumes_and_of_constant_images_is_defined():
    assert image_embedding(torch.rand(2, 1, 8, 8, 8), size=4).shape == (2, 64)
    assert (image_embedding(torch.full((1, 1, 32, 32), 3.0)) == 0).all()


def test_select_finds_the_image_itself_and_takes_another_embedding():
    pool = images_of(8)
    assert select(pool, pool[5] * 0.5, 1, how="nearest").tolist() == [5]
    darkest = pool.mean(dim=(1, 2, 3)).argmin()

    def mean_only(images: torch.Tensor) -> torch.Tensor:
        brightness = 40 * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([torch.ones_like(brightness), brightness], dim=1)

    asked = torch.zeros_like(pool[0])
    assert select(pool, asked, 1, how="nearest", embed=mean_only).tolist() == [int(darkest)]
    assert select(pool, asked, 8, how="diverse").shape == (8,)
    drawn = select(pool, asked, 3, how="random", generator=rng(4))
    assert drawn.tolist() == random_support(8, 3, rng(4)).tolist()


@pytest.mark.parametrize("how", ["random", "nearest", "diverse"])
@pytest.mark.parametrize("count", [0, 5])
def test_a_count_outside_the_pool_is_refused(how, count):
    pool = images_of(4)
    with pytest.raises(ValueError, match=f"all of the 4 examples of its pool, got count {count}"):
        select(pool, pool[0], count, how=how, generator=rng(0))


def test_other_ways_and_a_missing_generator_are_refused():
    pool = images_of(4)
    with pytest.raises(ValueError, match="did you mean nearest"):
        select(pool, pool[0], 1, how="neares")
    with pytest.raises(ValueError, match="needs a generator; pass generator=rng"):
        select(pool, pool[0], 1)
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\) or .* got shape \(3, 1, 9\)"):
        image_embedding(torch.rand(3, 1, 9))
