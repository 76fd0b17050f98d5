import random

import numpy as np
import torch

from fmtutor.core.seeds import rng, seed_everything, seed_of, torch_rng


def test_a_seed_depends_on_every_key_its_type_and_their_order():
    keys = [("a", 1, 2), ("a", 12), ("a", 2, 1), ("a", "1", 2), ("a1", 2), ("a", 1, 2, 0)]
    assert len({seed_of(*key) for key in keys}) == len(keys)


def test_a_seed_is_the_same_in_every_process_and_fits_torch_and_numpy():
    assert seed_of("cohort", 3, 0) == 2753457394146261669
    assert all(0 <= seed_of("key", number) < 2**63 for number in range(200))


def test_generators_of_the_same_keys_draw_the_same_and_others_do_not():
    assert rng("x", 1).random() == rng("x", 1).random() != rng("x", 2).random()
    one, two, other = (torch.rand(3, generator=torch_rng("x", n)) for n in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_seeding_everything_repeats_the_draws_of_the_three_global_generators():
    def draws():
        seed_everything(2**40 + 5)
        return random.random(), float(np.random.random()), float(torch.rand(()))

    assert draws() == draws()
