"""A file of a source is whole and verified, or not there; what is wrong is said."""

import errno
import hashlib
import io
import json
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from fmtutor.data import downloads, fetching
from fmtutor.data.downloads import Opener
from fmtutor.data.fetching import SourceUnavailableError, fetch, part_of, require_room
from fmtutor.data.receipts import ledger
from fmtutor.data.sources import Remote
from tests.data_scripts.faulty_server import FaultyServer, serving

CONTENT = np.random.default_rng(5).bytes(120_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
OPENER = Opener(timeout_s=0.2)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.001)
    monkeypatch.setattr(downloads, "CHUNK", 5_000)  # what a break may cost
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def remote(server: FaultyServer, checksum: str = SHA256, **more: object) -> Remote:
    return Remote(name="a.bin", url=f"{server.address}/a.bin", checksum=checksum, **more)  # type: ignore[arg-type]


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("[!.]*")} if folder.exists() else set()


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_file_is_fetched_verified_and_recorded(tmp_path, checksum):
    with serving({"a.bin": CONTENT}) as server:
        receipt = fetch(remote(server, checksum, size=len(CONTENT)), tmp_path, OPENER)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert receipt.trust == f"published checksum {checksum}"
    assert ledger(tmp_path)["a.bin"] == receipt
    assert visible(tmp_path) == {"a.bin", "fetched.json"}
    assert not part_of(tmp_path / "a.bin").exists()


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_a_transfer_that_breaks_goes_on_where_it_stopped(tmp_path, fault):
    with serving({"a.bin": CONTENT}, faults=[(fault, 50_000), (fault, 30_000)]) as server:
        fetch(remote(server), tmp_path, OPENER)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert len(server.downloads) == 3
    assert all(asked for _, asked in server.downloads[1:]), "later tries ask for the rest only"


def test_a_transfer_that_never_ends_says_how_far_it_came_and_goes_on_at_the_next_call(tmp_path):
    with serving({"a.bin": CONTENT}, faults=[("cut", 40_000)] + [("cut", 0)] * 9) as server:
        with pytest.raises(SourceUnavailableError, match=r"120000 bytes must come, got 40000.*run"):
            fetch(remote(server), tmp_path, OPENER)
        assert visible(tmp_path) == set(), "nothing under the file's name"
        server.faults.clear()
        fetch(remote(server), tmp_path, OPENER)
        assert server.downloads[-1] == ("a.bin", "bytes=40000-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_of_an_older_file_is_not_gone_on_with(tmp_path):
    new = CONTENT[::-1]
    with serving({"a.bin": CONTENT}, faults=[("cut", 40_000)] + [("cut", 0)] * 9) as server:
        with pytest.raises(SourceUnavailableError):
            fetch(remote(server, ""), tmp_path, OPENER)
        server.faults.clear()
        server.files["a.bin"], server.versions["a.bin"] = new, '"2"'
        fetch(remote(server, ""), tmp_path, OPENER)
    assert (tmp_path / "a.bin").read_bytes() == new


def test_a_server_without_ranges_starts_anew(tmp_path):
    with serving({"a.bin": CONTENT}, faults=[("cut", 50_000)], ranges=False) as server:
        fetch(remote(server), tmp_path, OPENER)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_and_names_both(tmp_path):
    wrong = Remote(name="a.bin", url="", checksum="sha256:" + "0" * 64, checksum_from="the makers")
    with serving({"a.bin": CONTENT}) as server:
        asked = Remote(**{**vars(wrong), "url": f"{server.address}/a.bin"})
        with pytest.raises(SourceUnavailableError) as error:
            fetch(asked, tmp_path, OPENER)
    for told in ("0" * 64, "the makers", SHA256[7:], "deleted", "run this again"):
        assert told in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


@pytest.mark.parametrize("claim", [100_000, 130_000])
def test_a_lie_about_the_length_never_becomes_a_file(tmp_path, claim):
    with (
        serving({"a.bin": CONTENT}, claims={"a.bin": claim}) as server,
        pytest.raises(SourceUnavailableError, match=r"must be|bytes must come"),
    ):
        fetch(remote(server), tmp_path, OPENER)
    assert visible(tmp_path) == set()


def test_a_size_other_than_the_published_one_is_refused_before_anything_is_written(tmp_path):
    folder = tmp_path / "downloads"
    with (
        serving({"a.bin": CONTENT}) as server,
        pytest.raises(SourceUnavailableError, match="must have 7 bytes, the server's file has 120"),
    ):
        fetch(remote(server, size=7), folder, OPENER)
    assert not folder.exists()
    assert server.downloads == []


def test_an_archive_without_a_known_checksum_is_read_through(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scan.nii", CONTENT)
    whole = buffer.getvalue()
    broken = whole[:60_000] + bytes([whole[60_000] ^ 1]) + whole[60_001:]
    for content, claims in ((broken, {}), (whole, {"a.zip": 90_000})):
        with serving({"a.zip": content}, claims=claims) as server:
            asked = Remote(name="a.zip", url=f"{server.address}/a.zip")
            with pytest.raises(SourceUnavailableError, match=r"no checksum is known.*damaged"):
                fetch(asked, tmp_path, OPENER)
        assert visible(tmp_path) == set()
    with serving({"a.zip": whole}) as server:
        receipt = fetch(Remote(name="a.zip", url=f"{server.address}/a.zip"), tmp_path, OPENER)
    assert receipt.trust == "first use"
    assert receipt.sha256 == hashlib.sha256(whole).hexdigest()


def test_a_disk_without_room_is_found_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, fetching.RESERVE + 100_000))
    folder = tmp_path / "downloads"
    with (
        serving({"a.bin": CONTENT}) as server,
        pytest.raises(
            SourceUnavailableError, match=r"needs 0\.1 MB .* got 67\.2 MB free; free 0\.0"
        ),
    ):
        fetch(remote(server), folder, OPENER)
    assert not folder.exists()
    assert server.downloads == []


def test_a_disk_that_fills_up_meanwhile_keeps_what_came(tmp_path, monkeypatch):
    written = downloads._continue

    def full(url: str, part: Path, **more: object) -> None:
        with part.open("wb") as file:
            file.write(CONTENT[:30_000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "_continue", full)
    with serving({"a.bin": CONTENT}) as server:
        with pytest.raises(SourceUnavailableError, match=r"after 30000 .* took no more .*No space"):
            fetch(remote(server), tmp_path, OPENER)
        assert visible(tmp_path) == set()
        monkeypatch.setattr(downloads, "_continue", written)
        fetch(remote(server), tmp_path, OPENER)
        assert server.downloads == [("a.bin", "bytes=30000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again(tmp_path):
    with serving({"a.bin": CONTENT}) as server:
        first = fetch(remote(server), tmp_path, OPENER)
        assert fetch(remote(server), tmp_path, OPENER) == first
    assert len(server.downloads) == 1


def test_a_file_that_has_changed_since_is_seen(tmp_path):
    with serving({"a.bin": CONTENT}) as server:
        for checksum in (SHA256, ""):
            fetch(remote(server, checksum), tmp_path, OPENER)
            path = tmp_path / "a.bin"
            path.write_bytes(CONTENT[:-1])
            with pytest.raises(SourceUnavailableError, match=r"must have sha256 .* delete it"):
                fetch(remote(server, checksum), tmp_path, OPENER)
            path.unlink()
            (tmp_path / "fetched.json").unlink()


def test_a_copy_put_there_by_hand_is_taken_after_the_same_checks(tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    asked = Remote(name="a.bin", url="http://127.0.0.1:9/a.bin", checksum=SHA256)
    assert fetch(asked, tmp_path, OPENER).size == len(CONTENT)
    assert json.loads((tmp_path / "fetched.json").read_text())["a.bin"]["sha256"] == SHA256[7:]
    other = Remote(name="a.bin", url="http://127.0.0.1:9/a.bin", checksum="md5:" + "0" * 32)
    with pytest.raises(SourceUnavailableError, match="must have md5 000"):
        fetch(other, tmp_path, OPENER)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_is_told_with_what_to_do(tmp_path, status):
    with (
        serving({"a.bin": CONTENT}, status=status) as server,
        pytest.raises(SourceUnavailableError, match=f"HTTP {status}; get it in a browser"),
    ):
        fetch(remote(server), tmp_path / "downloads", OPENER)
    assert not (tmp_path / "downloads").exists()


def test_a_server_that_states_no_size_needs_a_published_one(tmp_path):
    with serving({"a.bin": CONTENT}, lengths=False, ranges=False) as server:
        with pytest.raises(SourceUnavailableError, match="states none"):
            fetch(remote(server), tmp_path, OPENER)
        fetch(remote(server, size=len(CONTENT)), tmp_path, OPENER)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_room_is_asked_of_the_nearest_folder_that_exists(tmp_path):
    require_room(tmp_path / "not" / "there", 1, "a file")
    assert list(tmp_path.iterdir()) == []
