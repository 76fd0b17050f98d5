"""Every script of ``data_scripts``, end to end: fetched from a bad server, unpacked, converted."""

import shutil
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from fmtutor.core.files import read_json
from fmtutor.data.catalog import catalog
from fmtutor.data.few_shot_splits import draw_support, published_split
from fmtutor.data.sources import Source, source, sources
from fmtutor.data.totalsegmentator_v1 import TotalSegmentatorV1
from tests.data_scripts.layouts import IRCADB_DRAWN, LAYOUTS
from tests.data_scripts.look_alikes import LookAlike, image_of, truth
from tests.data_scripts.script_runs import (
    OPENER,
    SCRIPTS,
    converted,
    put,
    run_script,
    script,
    served,
    tree,
)


def test_each_source_that_one_can_get_has_a_table_a_script_and_a_look_alike():
    assert set(sources()) == set(LAYOUTS) == set(catalog()) - {"jhh"}
    scripts = {path.stem for path in SCRIPTS.glob("*.py")} - {"steps", "plan"}
    assert scripts == {script for script, _ in LAYOUTS.values()}
    for name, (stem, _) in LAYOUTS.items():
        assert name in {work.source.name for work in script(stem).WORKS}


def assert_as_published(alike: LookAlike, of: Source, data: Path) -> None:
    dataset = converted(of, data)
    assert dataset.names == tuple(sorted(alike.names))
    assert dataset.modality == of.card.modality
    assert set(dataset.protocol.regions) == set(of.protocol.regions)
    for case in dataset:
        for structure in of.written:
            assert np.array_equal(case.mask(structure), truth(of, structure)), structure
        assert case.image[8, 3, 2] == 300
        assert case.image[0, 0, 0] == -1000
        assert case.spacing_mm == (1.5, 2.0, 3.0)
    parts = read_json(dataset.folder / "splits.json")["parts"]
    assert {s: part for part, found in parts.items() for s in found if part != "train"} == (
        alike.parts
    )


# The two others have tests of their own below.
@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"ircadb", "totalsegmentator_v1"}))
def test_a_source_comes_out_in_the_common_layout(tmp_path, name, capsys):
    faults = [("cut", 700), ("reset", 900)]
    with served(name, faults=faults) as (alike, of, server):
        place = script("steps").Place.of(of, tmp_path)
        put(alike.downloads, place.downloads)
        put(alike.unpacked, place.unpacked)
        before = tree(tmp_path)
        assert run_script(name, of, tmp_path, dry_run=True) == 0
        assert tree(tmp_path) == before
        assert server.seen == []
        assert run_script(name, of, tmp_path) == 0, capsys.readouterr().err
        asked = len(server.seen)
        assert run_script(name, of, tmp_path) == 0
        assert len(server.seen) == asked, "what is there is not asked for again"
    assert f"{len(alike.names)} kept" in capsys.readouterr().out
    assert_as_published(alike, of, tmp_path)


def test_scans_that_annotate_other_structures_make_other_datasets(tmp_path, capsys):
    with served("ircadb") as (_, of, _server):
        assert run_script("ircadb", of, tmp_path) == 0, capsys.readouterr().err
    found = [converted(of, tmp_path, index=index) for index in (0, 1, 2)]
    assert {dataset.names for dataset in found} == {
        ("IRCADb_01",), ("IRCADb_02", "IRCADb_10"), ("IRCADb_20",)
    }  # fmt: skip
    for dataset in found:
        for case in dataset:
            assert case.known == set(of.split(IRCADB_DRAWN[case.name]))
            for structure in case.known:
                assert np.array_equal(case.mask(structure), truth(of, structure)), structure
    assert "published" in capsys.readouterr().out, "no checksum is published: said so"


@pytest.fixture(scope="module")
def unpacked_v1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path]:
    data = tmp_path_factory.mktemp("v1")
    with pytest.MonkeyPatch.context() as patch, served("totalsegmentator_v1") as (_, of, _server):
        patch.syspath_prepend(str(SCRIPTS))
        assert run_script("totalsegmentator_v1", of, data) == 0
    return of, data


def test_the_conversion_agrees_with_the_reader_of_totalsegmentator_v1(unpacked_v1):
    of, data = unpacked_v1
    assert_as_published(LAYOUTS[of.name][1](source(of.name)), of, data)
    meta = next((data / "totalsegmentator_v1" / "unpacked").rglob("meta.csv"))
    original = TotalSegmentatorV1(meta.parent)
    dataset = converted(of, data)
    assert dataset.names == ("s0004", "s0029")
    for case in dataset:
        read = original.case(case.name, ["spleen", "heart_myocardium", "esophagus"])
        assert np.array_equal(case.image, read.image)
        assert np.allclose(case.affine, read.affine)
        for structure in read.known:
            assert np.array_equal(case.mask(structure), read.mask(structure))


def test_the_few_shot_lists_are_the_published_ones(unpacked_v1):
    of, data = unpacked_v1
    lists = read_json(converted(of, data).folder / "splits.json")["few_shot"]
    assert len(lists["structures"]) == 25
    spleen, split = lists["structures"]["spleen"], published_split("spleen", "totalsegmentator")
    assert spleen["pool"] == list(split.pool)
    assert spleen["test"] == list(split.test)
    draw = draw_support(len(split.pool), 5, 2)
    assert spleen["draws"]["5"]["2"]["support"] == [split.pool[i] for i in draw.support]
    assert spleen["draws"]["5"]["2"]["held_out"] == split.pool[draw.held_out]
    assert "s0004" not in lists["missing"]
    assert "s0241" in lists["missing"], "scans that are not there are named"


def test_a_known_broken_scan_is_left_out_and_said(unpacked_v1, capsys):
    of, data = unpacked_v1
    assert run_script("totalsegmentator_v1", of, data) == 0
    assert "left out  s0864: ct.nii.gz is damaged in the release" in capsys.readouterr().err
    assert "s0864" in read_json(converted(of, data).folder / "conversion.json")["left_out"]


def test_images_are_linked_and_unchanged(tmp_path):
    with served("btcv") as (alike, of, _):
        put(alike.downloads, tmp_path / "btcv" / "downloads")
        assert run_script("btcv", of, tmp_path) == 0
    path = converted(of, tmp_path).image_path("BTCV_0001")
    original = next((tmp_path / "btcv").rglob("img0001.nii.gz"))
    assert path.samefile(original)
    assert np.array_equal(converted(of, tmp_path)["BTCV_0001"].image, image_of(0))


def test_a_damaged_scan_fails_alone_and_is_tried_again(tmp_path, capsys):
    with served("btcv") as (alike, of, _):
        put(alike.downloads, tmp_path / "btcv" / "downloads")
        assert run_script("btcv", of, tmp_path, steps=("unpack",)) == 0
        broken = next((tmp_path / "btcv").rglob("label0040.nii.gz"))
        whole = broken.read_bytes()
        broken.write_bytes(whole[:-20])
        assert run_script("btcv", of, tmp_path) == 1
        assert "failed    BTCV_0040" in capsys.readouterr().err
        assert converted(of, tmp_path).names == ("BTCV_0001",)
        broken.write_bytes(whole)
        assert run_script("btcv", of, tmp_path) == 0
    assert "1 written, 1 kept" in capsys.readouterr().out
    assert converted(of, tmp_path).names == ("BTCV_0001", "BTCV_0040")


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([("cut", 1024), *[("cut", 0)] * 9], "bytes must come, got 1024"),
        ([("reset", 1024), *[("reset", 0)] * 9], "bytes must come, got 1024"),
        ([("stall", 1024), *[("cut", 0)] * 9], "bytes must come, got 1024"),
    ],
    ids=["truncated", "reset", "stalled"],
)
def test_a_script_whose_download_breaks_says_so_and_goes_on_later(tmp_path, faults, told, capsys):
    with served("flare22", faults=faults) as (_, of, server):
        assert run_script("flare22", of, tmp_path) == 1
        assert told in capsys.readouterr().err
        assert [path for path in tmp_path.rglob("[!.]*") if path.is_file()] == []
        server.faults.clear()
        assert run_script("flare22", of, tmp_path) == 0
        assert server.downloads[-1][1].startswith("bytes="), "it went on"
    assert len(converted(of, tmp_path)) == 2


def test_a_script_that_gets_another_file_says_so_and_leaves_nothing(tmp_path, capsys):
    with served("flare22") as (_, of, _server):
        wrong = replace(of.files[0], checksum="sha256:" + "0" * 64)
        assert run_script("flare22", replace(of, files=(wrong,)), tmp_path) == 1
    assert f"sha256 must be {'0' * 64}" in capsys.readouterr().err
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".lock"}


@pytest.mark.parametrize("step", ["fetch", "unpack", "convert"])
def test_a_script_without_room_says_how_much_is_missing(tmp_path, step, capsys, monkeypatch):
    free = namedtuple("Usage", "total used free")(10**9, 10**9, 1000)
    earlier = ("fetch", "unpack", "convert")[: ("fetch", "unpack", "convert").index(step)]
    with served("flare22") as (_, of, _server):
        assert run_script("flare22", of, tmp_path, steps=earlier) == 0
        before = tree(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
        assert run_script("flare22", of, tmp_path, steps=(step,)) == 1
        told = capsys.readouterr().err
        assert "0.0 MB free; free " in told
        assert "name a folder on another disk" in told
        after = {k for k in tree(tmp_path) if not k.endswith("conversion.json")}
        assert {name for name in after if (tmp_path / name).is_file()} <= set(before)
        monkeypatch.undo()


def test_a_script_that_is_stopped_goes_on_at_the_next_run(tmp_path, capsys, monkeypatch):
    def stopped(url: str, part: Path, **_: object) -> None:
        part.write_bytes(b"PK")
        raise KeyboardInterrupt

    with served("flare22") as (_, of, server):
        with monkeypatch.context() as patch:
            patch.setattr("fmtutor.data.fetching.download", stopped)
            assert run_script("flare22", of, tmp_path) == 130
        assert "run the same command again" in capsys.readouterr().err
        assert run_script("flare22", of, tmp_path) == 0
        assert server.downloads == [("FLARE22Train.zip", "bytes=2-")]


def test_two_scripts_do_not_fetch_into_one_folder(tmp_path, capsys):
    with served("flare22") as (_, of, _server):
        place = script("steps").Place.of(of, tmp_path)
        place.downloads.mkdir(parents=True)
        with FileLock(place.downloads / ".lock"):
            assert run_script("flare22", of, tmp_path) == 1
    assert "one process at a time fetches" in capsys.readouterr().err


def test_one_dataset_that_fails_does_not_stop_the_others(tmp_path, capsys):
    steps, msd = script("steps"), script("msd")
    with served("msd_spleen") as (_, of, _server):
        works = [replace(w, source=of) for w in msd.WORKS if w.source.name == of.name]
        bad = replace(of, card=replace(of.card, name="bad"), store="bad", files=(), by_hand=("x",))
        works.insert(0, replace(works[0], source=bad))
        assert steps.run(works, steps.Options(data=tmp_path), opener=OPENER) == 1
    assert "is not there yet" in capsys.readouterr().err
    assert len(converted(of, tmp_path)) == 2


@pytest.mark.parametrize("name", ["btcv", "word", "lits", "abdomenct_12organ", "pancreas_ct"])
def test_what_must_be_got_by_hand_is_said(tmp_path, name, capsys):
    assert run_script(name, source(name), tmp_path) == 1
    told = capsys.readouterr().err
    assert "is not there yet" in told
    assert source(name).card.link in told
    assert all(step in told for step in source(name).by_hand)
    assert not (tmp_path / "nnUNet_raw").exists()


def test_an_archive_that_changed_since_it_was_unpacked_is_seen(tmp_path, capsys):
    with served("btcv") as (alike, of, _):
        put(alike.downloads, tmp_path / "btcv" / "downloads")
        assert run_script("btcv", of, tmp_path) == 0
        put({"RawData.zip": alike.downloads["RawData.zip"] + b"x"}, tmp_path / "btcv" / "downloads")
        assert run_script("btcv", of, tmp_path) == 1
    assert "has changed since; delete the folder" in capsys.readouterr().err


def test_a_script_runs_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kits.py", "--dry-run", "--data", str(tmp_path / "d")])
    module = script("kits")
    assert module.main(*module.WORKS) == 0
    told = capsys.readouterr().out
    for words in ("KiTS", "and 597 more such files", "first download is trusted", "kidney_left"):
        assert words in told
    assert not (tmp_path / "d").exists()
