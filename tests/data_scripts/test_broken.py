"""Every script, each trouble: a wrong checksum, a truncated file, a full disk; and a dry run.

Each says what is wrong and what to do, and leaves nothing under the name of a file or a dataset.
"""

import errno
import shutil
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fmtutor.data import conversion
from fmtutor.data.sources import Source, source
from tests.data_scripts.faulty_server import FaultyServer
from tests.data_scripts.layouts import LAYOUTS
from tests.data_scripts.script_runs import put, run_script, script, served, tree

ALIKES = {name: make(source(name)) for name, (_, make) in LAYOUTS.items()}
FETCHED = sorted(name for name, alike in ALIKES.items() if alike.served)
BY_HAND = sorted(name for name, alike in ALIKES.items() if alike.downloads)
UNPACKED_BY_HAND = sorted(set(LAYOUTS) - set(FETCHED) - set(BY_HAND))
CHECKED = sorted(n for n in FETCHED if any(f.checksum for f in source(n).files))


@contextmanager
def there(name: str, data: Path, **faults: object) -> Iterator[tuple[Source, FaultyServer]]:
    """Serve a look-alike, and put what is got by hand where the script says."""
    with served(name, **faults) as (alike, of, server):
        place = script("steps").Place.of(of, data)
        put(alike.downloads, place.downloads)
        put(alike.unpacked, place.unpacked)
        yield of, server


def shown(folder: Path) -> set[str]:
    """Return the files that a person sees."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not any(p.startswith(".") for p in path.parts)}


def label_maps(data: Path) -> list[Path]:
    return list((data / "nnUNet_raw").rglob("*.nii.gz"))


def cut(folder: Path, pattern: str) -> int:
    """Cut the files of a folder to half, and return how many they are."""
    paths = [path for path in folder.rglob(pattern) if path.is_file()]
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return len(paths)


def test_every_source_is_in_one_of_the_lists():
    assert len(FETCHED) + len(BY_HAND) + len(UNPACKED_BY_HAND) == len(LAYOUTS)
    assert set(FETCHED) - set(CHECKED) == {"kits", "ircadb"}, "as the page says"


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_dry_run_writes_nothing_and_asks_nobody(tmp_path, name, capsys):
    with there(name, tmp_path) as (of, server):
        before = tree(tmp_path)
        assert run_script(name, of, tmp_path, dry_run=True) == 0
        assert (tree(tmp_path), server.seen) == (before, [])
    told = capsys.readouterr().out
    assert of.card.title in told
    assert of.card.licence in told
    assert all(remote.name in told for remote in of.files[:3])


@pytest.mark.parametrize("name", CHECKED)
def test_a_wrong_checksum_is_named_and_the_file_is_gone(tmp_path, name, capsys):
    with there(name, tmp_path) as (of, _):
        before = shown(tmp_path)
        wrong = tuple(replace(remote, checksum="sha256:" + "0" * 64) for remote in of.files)
        assert run_script(name, replace(of, files=wrong), tmp_path) == 1
    told = capsys.readouterr().err
    assert of.files[0].name in told
    assert f"sha256 must be {'0' * 64}" in told
    assert "the download is deleted; run this again" in told
    assert shown(tmp_path) == before
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.parametrize("name", FETCHED)
def test_a_truncated_download_says_how_far_it_came_and_goes_on_later(tmp_path, name, capsys):
    size = len(next(iter(ALIKES[name].served.values())))
    faults = [("cut", size // 2), *[("cut", 0)] * 9]
    with there(name, tmp_path, faults=faults) as (of, server):
        before = shown(tmp_path)
        assert run_script(name, of, tmp_path) == 1
        told = capsys.readouterr().err
        assert f"bytes must come, got {size // 2} in" in told
        assert "run this again, it goes on from there" in told
        assert shown(tmp_path) == before
        server.faults.clear()
        assert run_script(name, of, tmp_path, steps=("fetch",)) == 0
        assert any(asked == f"bytes={size // 2}-" for _, asked in server.downloads)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_truncated_archive_of_ones_own_is_named_and_unpacks_to_nothing(tmp_path, name, capsys):
    with there(name, tmp_path) as (of, _):
        place = script("steps").Place.of(of, tmp_path)
        assert cut(place.downloads, "*.zip")
        assert run_script(name, of, tmp_path) == 1
    told = capsys.readouterr().err
    assert "cut off or damaged" in told
    assert any(archive in told for archive in ALIKES[name].downloads)
    assert not place.unpacked.exists() or shown(place.unpacked) == set()
    assert label_maps(tmp_path) == []


@pytest.mark.parametrize("name", UNPACKED_BY_HAND)
def test_truncated_scans_fail_each_with_its_reason_and_make_no_dataset(tmp_path, name, capsys):
    with there(name, tmp_path) as (of, _):
        place = script("steps").Place.of(of, tmp_path)
        assert cut(place.unpacked, "*.nii.gz") + cut(place.unpacked, "*.dcm")
        assert run_script(name, of, tmp_path) == 1
    told = capsys.readouterr().err
    assert all(f"failed    {scan}: " in told for scan in ALIKES[name].names)
    assert label_maps(tmp_path) == []
    assert not list((tmp_path / "nnUNet_raw").rglob("dataset.json"))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path, name, capsys, monkeypatch
):
    with there(name, tmp_path) as (of, server):
        before = shown(tmp_path)
        usage = namedtuple("Usage", "total used free")(10**9, 10**9, 1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        assert run_script(name, of, tmp_path) == 1
        assert server.downloads == []
    told = capsys.readouterr().err
    assert "0.0 MB free; free " in told
    assert "name a folder on another disk" in told
    assert {path for path in shown(tmp_path) - before if "conversion.json" not in path} == set()


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_disk_that_fills_up_meanwhile_stops_the_conversion_and_it_goes_on(
    tmp_path, name, capsys, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with there(name, tmp_path) as (of, _):
        with monkeypatch.context() as patch:
            patch.setattr(conversion, "write_nifti", full)
            assert run_script(name, of, tmp_path) == 1
        told = capsys.readouterr().err
        assert "No space left on device); free space there and run this again" in told
        assert not list((tmp_path / "nnUNet_raw").rglob("labelsTr/*"))
        assert not list((tmp_path / "nnUNet_raw").rglob("dataset.json"))
        assert run_script(name, of, tmp_path) == 0
    assert list((tmp_path / "nnUNet_raw").rglob("dataset.json"))
