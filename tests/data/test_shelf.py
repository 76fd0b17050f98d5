"""Virtual cases on disk, over a cheap stand-in for `grow` and, once, over the real one."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from fmtutor.data import shelf
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET, Centre
from fmtutor.data.shelf import VirtualSource, case_path, virtual_case, virtual_cases

CENTRE = CENTRES["spine_clinic"]
ARRAYS = ("image", "labels", "affine")


@pytest.fixture
def own_shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path))
    return tmp_path


def small(centre, index, seed=0):
    rng = np.random.default_rng([index, seed])
    return Case(
        name=f"{centre.name}-{seed}-{index}",
        image=rng.integers(-1024, 3071, (9, 8, 7)).astype(np.float32),
        affine=np.diag([-1.0, 2.0, 3.0, 1.0]),
        labels=rng.integers(0, 3, (9, 8, 7)).astype(np.uint8),
        table={1: "aorta", 204: "aorta_suprarenal"},
        known=frozenset({"aorta"}),
        provenance="virtual",
    )


def equal(one, two):
    fields = ("name", "modality", "table", "known", "provenance")
    return all(np.array_equal(getattr(one, a), getattr(two, a)) for a in ARRAYS) and all(
        getattr(one, f) == getattr(two, f) for f in fields
    )


def test_a_case_from_the_shelf_equals_the_grown_one(own_shelf, samples, monkeypatch):
    grown = shelf.grow(CENTRE, 0)
    monkeypatch.setattr(shelf, "grow", lambda *keys: grown)
    first = virtual_case(CENTRE, 0)
    monkeypatch.delattr(shelf, "grow")
    second = virtual_case(CENTRE, 0)
    assert equal(first, grown)
    assert equal(second, grown)
    assert second.image.dtype == np.float32
    assert second.labels.dtype == np.uint8


def test_a_case_is_grown_once_and_leaves_one_file(own_shelf, monkeypatch):
    asked = []
    monkeypatch.setattr(shelf, "grow", lambda *keys: asked.append(keys) or small(*keys))
    cases = virtual_cases(CENTRE, [3, 4, 3], seed=2)
    assert asked == [(CENTRE, 3, 2), (CENTRE, 4, 2)]
    assert [case.name for case in cases] == [small(CENTRE, n, 2).name for n in (3, 4, 3)]
    files = sorted(path for path in own_shelf.rglob("*") if path.is_file())
    assert files == [case_path(CENTRE, 3, 2), case_path(CENTRE, 4, 2)]


def test_a_write_that_fails_leaves_nothing_behind(own_shelf, monkeypatch):
    monkeypatch.setattr(shelf, "grow", small)

    def fails(file, **arrays):
        file.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fails)
        with pytest.raises(OSError, match="disk full"):
            virtual_case(CENTRE, 0)
    assert not [path for path in own_shelf.rglob("*") if path.is_file()]
    assert equal(virtual_case(CENTRE, 0), small(CENTRE, 0))


def _grow_small(cache, barrier, results):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMTUTOR_CACHE", cache)
        patch.setattr(shelf, "grow", small)
        barrier.wait(30)
        results.put([float(virtual_case(CENTRE, n).image.sum()) for n in range(8)])


def test_processes_may_fill_one_shelf_at_once(own_shelf):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_grow_small, args=(str(own_shelf), barrier, results))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert found == [[float(small(CENTRE, n).image.sum()) for n in range(8)]] * 3
    assert len([path for path in own_shelf.rglob("*") if path.is_file()]) == 8


def test_the_place_depends_on_every_key_the_ranges_and_the_growing_code(own_shelf, monkeypatch):
    other = Centre(replace(CENTRE.domain, arms=0.123), CENTRE.protocol)
    paths = {
        case_path(CENTRE, 1),
        case_path(CENTRE, 2),
        case_path(CENTRE, 1, seed=1),
        case_path(TARGET, 1),
        case_path(other, 1),
    }
    assert len(paths) == 5
    assert all(path.is_relative_to(own_shelf) for path in paths)
    monkeypatch.setattr(shelf, "GROWTH", shelf.GROWTH + 1)
    assert case_path(CENTRE, 1) not in paths


def test_a_case_without_labels_has_no_place_on_the_shelf(own_shelf, monkeypatch):
    monkeypatch.setattr(shelf, "grow", lambda *keys: replace(small(*keys), labels=None))
    with pytest.raises(ValueError, match="needs labels, got 'spine_clinic-0-0'"):
        virtual_case(CENTRE, 0)


def test_a_source_is_a_sequence_of_so_many_patients(own_shelf, monkeypatch):
    monkeypatch.setattr(shelf, "grow", small)
    source = VirtualSource(CENTRE, 2, seed=5)
    assert len(source) == 2
    assert source.protocol is CENTRE.protocol
    assert [case.name for case in source] == ["spine_clinic-5-0", "spine_clinic-5-1"]
    for index in (2, -1):
        with pytest.raises(IndexError, match=f"patient {index} of 2 at spine_clinic"):
            source[index]
