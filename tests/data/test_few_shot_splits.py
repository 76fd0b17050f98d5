"""The published few-shot lists are those of the origin, and a draw picks the published cases."""

from collections import Counter
from hashlib import sha256

import pytest

from fmtutor.data.anatomy import NOVEL_STRUCTURES, STRUCTURES, TOTALSEGMENTATOR_V1
from fmtutor.data.few_shot_splits import (
    DATASETS,
    draw_support,
    published_split,
    published_structures,
)

BASE = [
    "spleen", "kidney_left", "gallbladder", "esophagus", "liver", "pancreas", "stomach",
    "duodenum", "aorta",
]  # fmt: skip
HEART_TEST = "s1259 s1269 s1272 s1277 s1330"
HEART_POOL = (
    "s0032 s0138 s0184 s0230 s0349 s0374 s0380 s0444 s0463 s0488 s0531 s0557 s0659 s0681 s0698 "
    "s0822 s0825 s0834 s0883 s0901 s0936 s0946 s0954 s0958 s0972 s0978 s0987 s1007 s1052 s1073 "
    "s1083 s1133 s1134 s1190 s1254"
)
SPLEEN_POOL = (
    "s0241 s0739 s0765 s0370 s0371 s0350 s0807 s0928 s0884 s0904 s0910 s0915 s0916 s0162 s0618 "
    "s0619 s0621 s0635 s0637 s0300 s0322 s0446 s0447 s0472 s0483 s0487 s0175 s0190 s0199 s0484"
)
TOTALSEGMENTATOR_SHA256 = "7e2738fc010b0cd60331e16e84cce01424e1235dff31a683d450e0e78accc76b"
FLARE22_SHA256 = "0c7347a93be5420d0bcc6d6b12dc7140c00a93a7b0f82bf21fc9aea12b3ff5a9"
"""Of the ids as read from the files of the origin: NAME POOL | TESTS, a line per structure."""
DRAWN = {
    (30, 0): "27 12 24 13 1 8 16 15 28 9 22",
    (30, 1): "4 18 27 25 24 2 8 3 15 14 21",
    (30, 2): "27 29 1 2 26 11 5 21 9 8 19",
    (29, 0): "27 12 24 13 1 8 16 15 28 9 21",
    (29, 1): "4 18 25 24 2 8 3 15 14 21 12",
    (29, 2): "27 28 1 2 25 11 5 21 9 8 6",
    (35, 0): "24 26 2 16 30 31 15 12 25 9 28",
    (35, 1): "8 4 16 7 15 24 14 30 20 12 6",
    (35, 2): "3 5 33 23 26 32 31 25 21 9 8",
    (41, 0): "24 26 2 16 32 31 25 19 30 22 18",
    (41, 1): "8 36 4 16 7 31 28 30 24 13 3",
    (41, 2): "3 5 39 23 10 19 16 13 2 36 33",
    (50, 0): "24 48 26 2 16 32 31 25 19 30 22",
    (50, 1): "8 36 4 16 7 31 28 30 41 24 13",
    (50, 2): "3 5 48 23 10 42 19 16 38 13 41",
}
"""(pool, seed) to the positions of 10 shots and of their held-out case, as measured there."""


def family(start: str) -> list[str]:
    return [name for name in published_structures("totalsegmentator") if name.startswith(start)]


def test_structures_are_the_published_25_in_canonical_names() -> None:
    names = published_structures("totalsegmentator")
    assert len(names) == len(set(names)) == 25
    assert set(names) == {*BASE, *family("lung"), *family("heart"), *family("gluteus")}
    assert [len(family(start)) for start in ("lung", "heart", "gluteus")] == [5, 5, 6]
    assert set(names) <= set(TOTALSEGMENTATOR_V1.values()) <= set(STRUCTURES)
    assert set(family("gluteus")) <= set(NOVEL_STRUCTURES)
    assert sorted(published_structures("flare22")) == sorted(BASE)


def test_pools_and_tests_have_the_published_sizes() -> None:
    pools = {n: published_split(n, "totalsegmentator") for n in published_structures(DATASETS[0])}
    sizes = {name: len(split.pool) for name, split in pools.items()}
    expected = dict.fromkeys(BASE + family("lung"), 30) | {"lung_upper_lobe_right": 29}
    expected |= dict.fromkeys(family("heart"), 35) | dict.fromkeys(family("gluteus"), 41)
    assert sizes == expected
    assert {len(split.test) for split in pools.values()} == {5}
    assert len({split.test for name, split in pools.items() if name in BASE}) == 6
    for start in ("lung", "heart", "gluteus"):
        assert len({pools[name].test for name in family(start)}) == 1


def test_no_scan_is_both_drawn_from_and_tested() -> None:
    for dataset, drawn, tested in (("totalsegmentator", 117, 19), ("flare22", 50, 22)):
        splits = [published_split(name, dataset) for name in published_structures(dataset)]
        pool = {scan for split in splits for scan in split.pool}
        test = {scan for split in splits for scan in split.test}
        assert (len(pool), len(test)) == (drawn, tested)
        assert not pool & test


def test_only_the_pancreas_lists_a_scan_twice_and_seed_2_draws_both() -> None:
    twice = {
        (name, scan)
        for name in published_structures("totalsegmentator")
        for scan, count in Counter(published_split(name, "totalsegmentator").pool).items()
        if count > 1
    }
    assert twice == {("pancreas", "s0930")}
    pool = published_split("pancreas", "totalsegmentator").pool
    distinct = [len({pool[i] for i in draw_support(30, 5, seed).support}) for seed in range(3)]
    assert distinct == [5, 5, 4]


@pytest.mark.parametrize(
    ("structure", "test"),
    [
        ("spleen", "s0726 s0029 s0516 s0785 s0801"),
        ("aorta", "s0004 s0502 s0227 s0785 s0801"),
        ("lung_middle_lobe_right", "s0004 s0502 s0227 s0785 s0801"),
        ("heart_ventricle_left", HEART_TEST),
        ("gluteus_minimus_right", "s1136 s1137 s1141 s1256 s1301"),
    ],
)
def test_tests_are_the_published_ones(structure: str, test: str) -> None:
    assert published_split(structure, "totalsegmentator").test == tuple(test.split())


def test_pools_keep_the_published_order() -> None:
    assert published_split("spleen", "totalsegmentator").pool == tuple(SPLEEN_POOL.split())
    for name in family("heart"):
        assert published_split(name, "totalsegmentator").pool == tuple(HEART_POOL.split())
    flare = published_split("liver", "flare22")
    assert (flare.pool[0], flare.pool[-1]) == ("FLARE22_Tr_0001", "FLARE22_Tr_0050")
    assert flare == published_split("aorta", "flare22")


def test_every_list_is_that_of_the_origin_in_order() -> None:
    lists = (
        f"{name} {' '.join(split.pool)} | {' '.join(split.test)}"
        for name in sorted(published_structures("totalsegmentator"))
        if (split := published_split(name, "totalsegmentator"))
    )
    assert sha256("\n".join(lists).encode()).hexdigest() == TOTALSEGMENTATOR_SHA256
    flare = published_split("spleen", "flare22")
    text = f"{' '.join(flare.pool)} | {' '.join(flare.test)}"
    assert sha256(text.encode()).hexdigest() == FLARE22_SHA256


def test_any_spelling_of_a_structure_is_read() -> None:
    assert published_split("Oesophagus", "totalsegmentator") == published_split(
        "esophagus", "totalsegmentator"
    )


@pytest.mark.parametrize("case", DRAWN, ids=str)
def test_draws_are_the_published_ones(case: tuple[int, int]) -> None:
    (pool, seed), drawn = case, tuple(int(number) for number in DRAWN[case].split())
    ten, five = draw_support(pool, 10, seed), draw_support(pool, 5, seed)
    assert (ten.support, ten.held_out) == (drawn[:10], drawn[10])
    assert (five.support, five.held_out) == (drawn[:5], drawn[5])


def test_a_draw_never_takes_more_than_thirty_cases() -> None:
    assert len(draw_support(30, 29, 0).support) == 29
    assert draw_support(41, 30, 0) == draw_support(41, 29, 0)
    assert sorted((*draw_support(30, 30, 1).support, draw_support(30, 30, 1).held_out)) == [
        *range(30)
    ]


@pytest.mark.parametrize(
    ("pool", "shots", "seed", "message"),
    [
        (5, 5, 0, "5 shots and the held-out case need a pool of 6, got 5; add cases"),
        (29, 30, 0, "need a pool of 30, got 29"),
        (30, 0, 0, "at least one shot, got 0; published are 5 and 10"),
        (30, 5, -1, "seed must be at least 0, got -1; published are 0, 1 and 2"),
    ],
)
def test_an_impossible_draw_says_what_to_do(pool: int, shots: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_support(pool, shots, seed)


def test_an_unpublished_structure_or_dataset_names_the_published_ones() -> None:
    with pytest.raises(ValueError, match=r"totalsegmentator 'prostate'.*Known: aorta.*stomach"):
        published_split("prostate", "totalsegmentator")
    with pytest.raises(ValueError, match=r"flare22 'heart_myocardium'.*Known: aorta, duodenum"):
        published_split("heart_myocardium", "flare22")
    with pytest.raises(ValueError, match=r"dataset 'flare'.*Known: flare22, totalsegmentator"):
        published_split("liver", "flare")
