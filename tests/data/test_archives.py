"""Archives are found, resumed, checked and unpacked whatever the network and the index do."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from fmtutor.data import archives, downloads
from fmtutor.data.archives import SamplesUnavailableError, ensure_members, missing_members
from fmtutor.data.package_index import PipSettings
from fmtutor.data.sample_files import Archive
from tests.data.local_index import CONTENTS, ROOT, LocalIndex, make_archive, serving


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries, no proxy and no netrc of this machine."""
    monkeypatch.setattr(downloads, "PAUSE_S", 0.001)
    monkeypatch.setattr(downloads, "CHUNK", 1 << 14)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return make_archive(tmp_path / "upstream")


@pytest.fixture
def content(archive: Archive, tmp_path: Path) -> bytes:
    return (tmp_path / "upstream" / archive.filename).read_bytes()


@pytest.fixture
def index(archive: Archive, content: bytes) -> Iterator[LocalIndex]:
    """An honest index that holds the archive."""
    with serving(files={archive.filename: content}) as index:
        yield index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "samples"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, index: LocalIndex):
    """Set what pip would be configured for; the honest index unless said otherwise."""

    def configure(**settings: object) -> None:
        values = PipSettings(**{"indexes": (index.url,), "timeout_s": 5.0, **settings})
        monkeypatch.setattr(archives, "read_pip_settings", lambda: values)

    configure()
    return configure


def assert_complete(archive: Archive, folder: Path) -> None:
    assert missing_members(archive, folder) == []
    for path, data in CONTENTS.items():
        assert (folder / "torso" / path).read_bytes() == data
    assert not list(folder.rglob("*.part*")), "the download and temporary files must be gone"


@pytest.mark.parametrize("as_json", [True, False])
def test_members_arrive_from_a_json_and_from_an_html_index(archive, folder, index, pip, as_json):
    index.as_json, index.hashes = as_json, {archive.filename: archive.sha256}
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    assert len(index.downloads) == 1


def test_a_wheel_is_read_as_an_archive(tmp_path, folder, index, pip):
    archive = make_archive(tmp_path / "wheel", "volumes-1.0-py3-none-any.whl")
    index.files[archive.filename] = (tmp_path / "wheel" / archive.filename).read_bytes()
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_warm_cache_asks_nobody(archive, folder, index, pip, monkeypatch):
    ensure_members(archive, folder)
    monkeypatch.setattr(archives, "read_pip_settings", lambda: pytest.fail("asked pip"))
    asked = len(index.seen)
    ensure_members(archive, folder)
    assert len(index.seen) == asked


def test_a_damaged_cached_file_is_fetched_anew(archive, folder, pip):
    ensure_members(archive, folder)
    file = folder / "torso" / "labels.bin"
    file.write_bytes(b"\0" * file.stat().st_size)
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_cut_connection_goes_on_where_it_stopped(archive, content, folder, index, pip):
    index.cut_after = [60_000, 50_000]
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    ranges = [headers.get("Range") for headers in index.downloads]
    assert ranges == [None, "bytes=60000-", "bytes=110000-"]


def test_a_server_without_ranges_starts_again(archive, folder, index, pip):
    index.cut_after, index.ranges = [60_000], False
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_stalled_connection_is_dropped_and_resumed(archive, folder, index, pip):
    pip(timeout_s=0.3)
    index.stall_after = [70_000]
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    assert len(index.downloads) == 2
    assert index.downloads[1]["Range"].startswith("bytes=")


def test_endless_truncation_ends_in_one_error_and_keeps_the_bytes(archive, folder, index, pip):
    index.files[archive.filename] = index.files[archive.filename][:50_000]
    with pytest.raises(SamplesUnavailableError, match=r"ended after 50000 of \d+ bytes"):
        ensure_members(archive, folder)
    assert (folder / f".{archive.filename}.part").stat().st_size == 50_000


def test_another_file_of_that_name_is_refused(archive, folder, index, pip):
    index.files[archive.filename] = b"x" * archive.size
    with pytest.raises(SamplesUnavailableError, match="another sha256"):
        ensure_members(archive, folder)
    assert not (folder / "torso").exists()


def test_a_longer_file_is_not_written_beyond_its_size(archive, folder, index, pip):
    index.files[archive.filename] += b"x"
    with pytest.raises(SamplesUnavailableError, match="more than the"):
        ensure_members(archive, folder)
    assert (folder / f".{archive.filename}.part").stat().st_size <= archive.size


def test_a_wrong_partial_file_is_replaced(archive, folder, pip):
    folder.mkdir(parents=True)
    (folder / f".{archive.filename}.part").write_bytes(b"x" * 30_000)
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_an_index_that_states_another_hash_is_passed_over(archive, folder, index, pip):
    index.hashes = {archive.filename: "0" * 64}
    with pytest.raises(SamplesUnavailableError, match="states another sha256"):
        ensure_members(archive, folder)
    assert index.downloads == []


def test_broken_places_do_not_break_the_search(archive, folder, index, pip, tmp_path):
    (tmp_path / "no-project" / "simple").mkdir(parents=True)
    with serving(statuses=[404]) as lacking, serving(statuses=[500, 500]) as failing:
        places = (
            lacking.url,
            failing.url,
            (tmp_path / "no-project" / "simple").as_uri(),
            (tmp_path / "nowhere").as_uri(),
            "http://127.0.0.1:9/simple",
            index.url,
        )
        pip(indexes=places, find_links=(str(tmp_path / "missing-folder"),))
        ensure_members(archive, folder)
    assert_complete(archive, folder)


@pytest.mark.parametrize("page", ["{}", "[1]", '{"files": [{"url": 1}]}', "not JSON", '"text"'])
def test_an_index_whose_json_has_another_shape_is_passed_over(archive, folder, index, pip, page):
    with serving(page=page) as odd:
        pip(indexes=(odd.url, index.url))
        ensure_members(archive, folder)
        assert odd.seen
    assert_complete(archive, folder)


def test_a_busy_index_is_asked_again(archive, folder, index, pip):
    index.statuses = [503]
    ensure_members(archive, folder)
    assert_complete(archive, folder)


@pytest.mark.parametrize("form", ["folder", "folder url", "file url", "page"])
def test_find_links_of_each_form_work_without_an_index(archive, folder, index, pip, tmp_path, form):
    upstream = tmp_path / "upstream"
    page = upstream / "links.html"
    page.write_text(f'<a href="{archive.filename}#sha256={archive.sha256}">it</a>')
    places = {
        "folder": str(upstream),
        "folder url": upstream.as_uri(),
        "file url": (upstream / archive.filename).as_uri(),
        "page": page.as_uri(),
    }
    pip(indexes=(), find_links=(places[form],))
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    assert (upstream / archive.filename).is_file(), "the user's own copy must stay"
    assert index.seen == []


def test_a_file_index_is_read_from_its_folders(archive, folder, pip, tmp_path):
    project = tmp_path / "mirror" / "simple" / "vol-umes"
    project.mkdir(parents=True)
    (project / "index.html").write_text(
        f'<a href="../../../upstream/{archive.filename}#sha256={archive.sha256}">x</a>'
    )
    pip(indexes=((tmp_path / "mirror" / "simple").as_uri(),))
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_private_index_gets_its_password_and_errors_do_not_show_it(archive, folder, index, pip):
    index.login = "me:s3cret/word"
    private = index.url.replace("http://", "http://me:s3cret%2Fword@")
    pip(indexes=(private.replace("word", "wrong"),))
    with pytest.raises(SamplesUnavailableError, match="HTTP 401") as error:
        ensure_members(archive, folder)
    assert "s3cret" not in str(error.value)
    pip(indexes=(private,))
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_netrc_login_is_used(archive, folder, index, pip, tmp_path, monkeypatch):
    index.login = "me:word"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_redirect_to_another_host_does_not_carry_the_password(archive, folder, index, pip):
    with serving(files=dict(index.files)) as storage:
        index.login, index.redirect_files_to = "me:word", storage.address
        pip(indexes=(index.url.replace("http://", "http://me:word@"),))
        ensure_members(archive, folder)
        assert "Authorization" in index.downloads[0]
        assert "Authorization" not in storage.downloads[0]
    assert_complete(archive, folder)


def test_the_proxy_of_pip_is_used(archive, folder, index, pip, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    pip(indexes=("http://index.invalid/simple",), proxy=index.address)
    with pytest.raises(SamplesUnavailableError, match="404"):
        ensure_members(archive, folder)
    assert index.seen[0][0] == "http://index.invalid/simple/vol-umes/"


def test_a_cold_cache_offline_says_exactly_what_to_do(archive, folder, pip):
    pip(indexes=("http://127.0.0.1:9/simple",))
    with pytest.raises(SamplesUnavailableError) as error:
        ensure_members(archive, folder)
    message = str(error.value)
    for part in (archive.filename, archive.sha256, str(archive.size), "torso", str(folder)):
        assert part in message
    assert "fmtutor samples --from" in message
    assert "http://127.0.0.1:9/simple" in message


@pytest.mark.parametrize("as_file", [True, False])
def test_a_file_or_folder_of_the_user_is_read_and_left_alone(archive, folder, tmp_path, as_file):
    own = tmp_path / "upstream"
    ensure_members(archive, folder, own / archive.filename if as_file else own)
    assert_complete(archive, folder)
    assert (own / archive.filename).is_file()


def test_a_wrong_file_of_the_user_is_refused_with_both_hashes(archive, folder, tmp_path):
    wrong = tmp_path / archive.filename
    wrong.write_bytes(b"something else")
    with pytest.raises(SamplesUnavailableError, match=f"(?s){archive.sha256}.*got 14 bytes"):
        ensure_members(archive, folder, wrong)


def test_only_named_members_are_written(tmp_path, folder, pip, index):
    extra = {ROOT + "more.bin": b"more", "../../outside.txt": b"out", "/absolute.txt": b"abs"}
    archive = make_archive(tmp_path / "hostile", **extra)
    index.files[archive.filename] = (tmp_path / "hostile" / archive.filename).read_bytes()
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    new = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {p.name for p in before}
    assert new - {f".{archive.filename}.lock"} == set(CONTENTS)


def test_a_full_disk_is_told_before_the_download(archive, folder, index, pip, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SamplesUnavailableError, match="FMTUTOR_CACHE"):
        ensure_members(archive, folder)
    assert index.seen == []


_CHILD = """
import sys, pathlib
from fmtutor.data import archives, downloads
from fmtutor.data.package_index import PipSettings
from tests.data.local_index import make_archive
root, url, timeout = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
downloads.CHUNK = 1 << 14
settings = PipSettings(indexes=(url,), timeout_s=timeout)
archives.read_pip_settings = lambda: settings
pin = __import__("pickle").loads((root / "pin").read_bytes())
print("ready", flush=True)
archives.ensure_members(pin, root / "cache" / "samples")
"""


def _child(archive: Archive, tmp_path: Path, index: LocalIndex) -> subprocess.Popen:
    import pickle

    (tmp_path / "pin").write_bytes(pickle.dumps(archive))
    command = [sys.executable, "-c", _CHILD, str(tmp_path), index.url, "10"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_start_together_download_once(archive, folder, index, tmp_path):
    children = [_child(archive, tmp_path, index) for _ in range(3)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    assert_complete(archive, folder)
    assert len(index.downloads) == 1


def test_a_killed_download_goes_on_at_the_next_call(archive, folder, index, pip, tmp_path):
    index.stall_after = [80_000]
    child = _child(archive, tmp_path, index)
    part = folder / f".{archive.filename}.part"
    end = time.monotonic() + 60
    while time.monotonic() < end and not (part.exists() and part.stat().st_size > 0):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    kept = part.stat().st_size
    assert 0 < kept < archive.size
    assert not (folder / "torso").exists()
    ensure_members(archive, folder)
    assert_complete(archive, folder)
    assert index.downloads[-1]["Range"] == f"bytes={kept}-"


def test_a_damaged_archive_of_the_pinned_hash_is_one_clear_error(archive, folder, pip, index):
    """Only a wrong pin can do this; it must still name what is wrong."""
    content = index.files[archive.filename][:-2000]
    index.files[archive.filename] = content
    pinned = replace(archive, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(SamplesUnavailableError, match="is damaged"):
        ensure_members(pinned, folder)


def test_a_member_of_another_hash_is_not_written(archive, folder, pip):
    wrong = replace(archive.members[1], sha256="0" * 64)
    with pytest.raises(SamplesUnavailableError, match=r"labels\.bin has another sha256"):
        ensure_members(replace(archive, members=(archive.members[0], wrong)), folder)
    assert not (folder / "torso" / "labels.bin").exists()


def test_a_missing_member_is_named(archive, folder, pip):
    more = replace(archive.members[0], path="absent.bin")
    with pytest.raises(SamplesUnavailableError, match=r"lacks .*absent\.bin"):
        ensure_members(replace(archive, members=(*archive.members, more)), folder)


def test_a_cache_that_cannot_be_written_says_how_to_move_it(archive, tmp_path, pip):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(SamplesUnavailableError, match="FMTUTOR_CACHE"):
        ensure_members(archive, tmp_path / "cache" / "samples")


def test_a_lock_that_is_never_freed_ends_in_an_error(archive, folder, pip, monkeypatch):
    monkeypatch.setattr(archives, "LOCK_WAIT_S", 0.05)
    folder.mkdir(parents=True)
    with (
        FileLock(folder / f".{archive.filename}.lock"),
        pytest.raises(SamplesUnavailableError, match="another process"),
    ):
        ensure_members(archive, folder)


def test_temporary_files_of_a_killed_extraction_are_removed(archive, folder, pip):
    stray = folder / "torso" / ".image.bin.ab12.part.bin"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half")
    ensure_members(archive, folder)
    assert_complete(archive, folder)


def test_a_bad_certificate_setting_is_part_of_the_error(archive, folder, pip, tmp_path):
    pip(cert=str(tmp_path / "absent.pem"))
    with pytest.raises(SamplesUnavailableError, match=r"absent\.pem"):
        ensure_members(archive, folder)
