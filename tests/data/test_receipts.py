"""The ledger of downloads: what a file was, on whose word it is trusted, never half a ledger."""

import errno
import hashlib
import os

import numpy as np
import pytest

from fmtutor.data import receipts
from fmtutor.data.receipts import LEDGER, Receipt, digests_of, ledger, receipt_of, record
from fmtutor.data.sources import Remote

CONTENT = np.random.default_rng(3).bytes(10_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def receipt(**changes: object) -> Receipt:
    values = {"url": "u", "size": 1, "sha256": "0" * 64, "trust": "first use", "changed_ns": 5}
    return Receipt(**{**values, **changes})  # type: ignore[arg-type]


def test_a_folder_without_downloads_has_an_empty_ledger(tmp_path):
    assert ledger(tmp_path) == {}
    assert ledger(tmp_path / "not there") == {}


def test_receipts_come_back_as_they_were_and_the_newest_of_a_file_counts(tmp_path):
    record(tmp_path, "a.zip", receipt(size=1))
    record(tmp_path, "folder/b.zip", receipt(size=2))
    record(tmp_path, "a.zip", receipt(size=3))
    assert ledger(tmp_path) == {"a.zip": receipt(size=3), "folder/b.zip": receipt(size=2)}


@pytest.mark.parametrize("size", [0, 1, 16 * 7, 16 * 7 + 1, len(CONTENT)])
def test_both_digests_are_those_of_the_whole_file(tmp_path, monkeypatch, size):
    monkeypatch.setattr(receipts, "CHUNK", 7)
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT[:size])
    assert digests_of(path) == {
        "sha256": hashlib.sha256(CONTENT[:size]).hexdigest(),
        "md5": hashlib.md5(CONTENT[:size]).hexdigest(),
    }


@pytest.mark.parametrize(
    ("checksum", "trust"), [("md5:12", "published checksum md5:12"), ("", "first use")]
)
def test_a_receipt_says_on_whose_word_and_keeps_no_password(tmp_path, checksum, trust):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    remote = Remote(name="a.zip", url="https://me:secret@host/a.zip", checksum=checksum)
    found = receipt_of(remote, path, SHA256)
    assert (found.size, found.sha256, found.trust) == (len(CONTENT), SHA256, trust)
    assert "host/a.zip" in found.url
    assert "secret" not in found.url


def test_a_file_that_is_written_again_has_another_receipt(tmp_path):
    path, remote = tmp_path / "a.zip", Remote(name="a.zip", url="u")
    path.write_bytes(CONTENT)
    before = receipt_of(remote, path, SHA256)
    assert receipt_of(remote, path, SHA256) == before
    later = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(later, later))
    assert receipt_of(remote, path, SHA256) != before


def test_a_full_disk_keeps_the_ledger_that_was(tmp_path, monkeypatch):
    record(tmp_path, "a.zip", receipt())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        record(tmp_path, "b.zip", receipt())
    assert ledger(tmp_path) == {"a.zip": receipt()}
    assert [path.name for path in tmp_path.iterdir()] == [LEDGER]


@pytest.mark.parametrize("text", ["", '{"a.zip": {"url"', "[]", '{"a.zip": {"size": 1}}'])
def test_a_damaged_ledger_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(ValueError, match=r"fetched\.json must list .* delete it and run"):
        ledger(tmp_path)
