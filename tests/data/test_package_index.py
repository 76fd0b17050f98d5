"""pip's own configuration says where to look."""

import os
from pathlib import Path

import pytest

from fmtutor.data import package_index
from fmtutor.data.downloads import Opener
from fmtutor.data.package_index import (
    PipMissingError,
    PipSettings,
    find_links_to,
    read_pip_settings,
    settings_from,
)
from tests.data.local_index import serving


@pytest.fixture
def only_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip configuration that replaces this machine's: no PIP_* variables, one file."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    path = tmp_path / "pip.conf"
    path.write_text("")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    return path


def test_settings_come_from_the_configuration_file(only_file):
    only_file.write_text(
        "[global]\nindex-url = https://me:word@index.invalid/simple\ncert = ca.pem\n"
        "extra-index-url =\n    https://one.invalid/simple\n    file:///two/simple\n"
        "trusted-host = index.invalid\ntimeout = 3\nproxy = http://proxy.invalid:1\n"
        "[install]\nfind-links = wheels\n"
    )
    assert read_pip_settings() == PipSettings(
        indexes=(
            "https://me:word@index.invalid/simple",
            "https://one.invalid/simple",
            "file:///two/simple",
        ),
        find_links=("wheels",),
        cert="ca.pem",
        trusted_hosts=("index.invalid",),
        proxy="http://proxy.invalid:1",
        timeout_s=3.0,
    )


def test_the_environment_wins_over_the_file(only_file, monkeypatch):
    only_file.write_text("[global]\nindex-url = https://file.invalid/simple\ncert = ca.pem\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.invalid/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.invalid https://b.invalid")
    monkeypatch.setenv("PIP_FIND_LINKS", "one two")
    monkeypatch.setenv("PIP_CERT", "other.pem")
    found = read_pip_settings()
    assert found.indexes[0] == "https://variable.invalid/simple"
    assert found.indexes[1:] == ("https://a.invalid", "https://b.invalid")
    assert found.find_links == ("one", "two")
    assert found.cert == "other.pem"


def test_without_a_configured_index_pips_own_default_is_used(monkeypatch):
    asked = []
    monkeypatch.setattr(
        package_index, "_pip_output", lambda *words: asked.append(words) or "https://d.invalid\n"
    )
    assert settings_from({}).indexes == ("https://d.invalid",)
    assert "PyPI.simple_url" in asked[0][-1]


def test_pip_still_names_its_default_index():
    assert package_index._pip_output("-c", package_index._DEFAULT_INDEX).startswith("https://")


def test_no_index_leaves_only_find_links():
    found = settings_from({"no-index": "true", "find-links": "here", "index-url": "https://x"})
    assert (found.indexes, found.find_links) == ((), ("here",))


def test_a_python_without_pip_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr(package_index.sys, "executable", _python_without_pip(tmp_path))
    with pytest.raises(PipMissingError, match="ensurepip"):
        read_pip_settings()


def _python_without_pip(folder: Path) -> str:
    script = folder / "python"
    script.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    script.chmod(0o755)
    return str(script)


def test_names_are_normalised_and_only_the_exact_file_is_taken(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    names = ("Vol.umes-1.0.tar.gz", "Vol.umes-1.0.tar.gz.asc", "Vol.umes-1.0.1.tar.gz")
    notes: list[str] = []
    with serving(files=dict.fromkeys(names, b""), as_json=False) as index:
        settings = PipSettings(indexes=(index.url.rstrip("/"),))
        found = list(find_links_to(names[0], "Vol._umes", settings, Opener(), note=notes.append))
    assert [link.url for link in found] == [f"{index.address}/files/{names[0]}"]
    assert index.seen[0][1]["Accept"].startswith("application/vnd.pypi.simple.v1+json")
    assert notes == []


def test_a_place_without_the_file_is_noted(tmp_path):
    notes: list[str] = []
    settings = PipSettings(find_links=(str(tmp_path), str(tmp_path / "missing")))
    assert not list(find_links_to("a.whl", "a", settings, Opener(), note=notes.append))
    assert "does not list a.whl" in notes[0]
    assert "no such file or folder" in notes[1]
