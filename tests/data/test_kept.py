"""What is kept of loaded cases: the last ones, within a number of bytes, for many threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fmtutor.data.kept import Kept, bytes_of


def kept(most_bytes: int | None = None) -> tuple[Kept[np.ndarray], list[tuple[int, int]]]:
    """Return a cache of arrays of 80 bytes, and the keys that were loaded."""
    loaded: list[tuple[int, int]] = []

    def load(one: int, other: int) -> np.ndarray:
        loaded.append((one, other))
        return np.full(10, 10.0 * one + other)

    return Kept(load, bytes_of, most_bytes=most_bytes), loaded


def test_what_is_kept_is_not_loaded_again() -> None:
    cases, loaded = kept()
    assert cases(1, 2) is cases(1, 2)
    assert cases(2, 1)[0] == 21
    assert loaded == [(1, 2), (2, 1)]


def test_the_longest_unasked_goes_first() -> None:
    cases, loaded = kept(most_bytes=170)  # two of them
    for key in ((0, 0), (0, 1), (0, 0), (0, 2), (0, 0), (0, 1)):
        cases(*key)
    assert len(cases) == 2
    assert loaded == [(0, 0), (0, 1), (0, 2), (0, 1)]


def test_one_that_is_too_large_is_kept_alone() -> None:
    cases, loaded = kept(most_bytes=0)
    cases(0, 0), cases(0, 0), cases(0, 1)
    assert (len(cases), loaded) == (1, [(0, 0), (0, 1)])


def test_threads_get_the_values_of_their_keys_and_the_bytes_stay_right() -> None:
    cases, _ = kept(most_bytes=240)
    keys = [(number % 7, number % 3) for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda key: cases(*key)[0], keys))
    assert values == [10.0 * one + other for one, other in keys]
    assert len(cases) == 3


def test_bytes_are_those_of_the_arrays() -> None:
    assert bytes_of(np.zeros((2, 3), np.int16), None, np.zeros(4, np.uint8)) == 16
