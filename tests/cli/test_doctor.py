"""`fmtutor doctor`: every line has a state, and every state but ok says what to do."""

import json

import pytest

from fmtutor.cli import doctor, main


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_with_an_empty_cache_each_missing_sample_has_its_command(empty_cache, capsys):
    assert main(["doctor", "--json"]) == 0
    found = {item["what"]: item for item in json.loads(capsys.readouterr().out)}
    assert found["sample torso"]["state"] == "warn"
    assert found["sample torso"]["todo"] == "fmtutor samples torso"
    assert all(item["todo"] for item in found.values() if item["state"] != "ok")
    assert {"python", "torch", "memory", "cpu", "cache"} <= set(found)
    assert not empty_cache.exists(), "looking changes nothing"


def test_a_missing_package_fails(empty_cache, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    assert main(["doctor"]) == 1
    assert "fail   no-such-package: not installed\n       -> pip install" in capsys.readouterr().out


def test_little_memory_and_disk_are_warnings(empty_cache, monkeypatch):
    monkeypatch.setattr(doctor, "MEMORY_GB", 1e6)
    monkeypatch.setattr(doctor, "DISK_GB", 1e9)
    states = {item.what: item.state for item in [doctor.memory(), *doctor.samples()]}
    assert (states["memory"], states["cache"]) == ("warn", "warn")


def test_a_path_below_home_is_written_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert doctor.homely(tmp_path / ".cache" / "fmtutor") == "~/.cache/fmtutor"
