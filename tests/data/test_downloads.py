"""Certificates, addresses with passwords, and endings of downloads."""

import shutil
import subprocess
from pathlib import Path
from urllib.error import URLError

import certifi
import pytest

from fmtutor.data import downloads
from fmtutor.data.downloads import DownloadError, Opener, download, redacted, ssl_context
from tests.data.local_index import serving

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries, and nothing of this machine's certificates and proxies."""
    monkeypatch.setattr(downloads, "PAUSE_S", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def one_authority(tmp_path: Path) -> Path:
    """A PEM file with a single authority of certifi's."""
    first = Path(certifi.where()).read_text().split("-----END CERTIFICATE-----")[0]
    begin = first.index("-----BEGIN")
    path = tmp_path / "authority.pem"
    path.write_text(first[begin:] + "-----END CERTIFICATE-----\n")
    return path


@pytest.fixture
def own_certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one PEM file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    key, cert, both = (tmp_path / name for name in ("key.pem", "cert.pem", "both.pem"))
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
    command += ["-subj", "/CN=local"]
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *alternative, *files], check=True, capture_output=True)
    both.write_text(key.read_text() + cert.read_text())
    return both


def test_a_named_certificate_file_is_the_only_authority(one_authority):
    assert len(ssl_context(str(one_authority)).get_ca_certs()) == 1


def test_the_bundle_of_the_environment_is_used_where_pip_names_none(one_authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(one_authority))
    assert len(ssl_context().get_ca_certs()) == 1
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert len(ssl_context().get_ca_certs()) > 10


@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_an_unreadable_certificate_is_named(tmp_path, text):
    path = tmp_path / "broken.pem"
    if text:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.pem.*pip config"):
        ssl_context(str(path))


def test_a_server_with_an_own_certificate_is_believed_only_when_it_is_named(own_certificate):
    with serving(own_certificate, files={"a": CONTENT}) as index:
        address = f"{index.address}/files/a"
        with Opener(cert=str(own_certificate)).open(address) as response:
            assert response.read() == CONTENT
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            Opener().open(address)


def test_a_trusted_host_needs_no_certificate(own_certificate):
    with serving(own_certificate, files={"a": CONTENT}) as index:
        host = index.address.removeprefix("https://")
        for trusted in ("127.0.0.1", host):
            with Opener(trusted_hosts=(trusted,)).open(f"{index.address}/files/a") as response:
                assert response.read() == CONTENT


def test_an_untrusted_certificate_is_not_tried_again(own_certificate, tmp_path):
    with (
        serving(own_certificate, files={"a": CONTENT}) as index,
        pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        download(f"{index.address}/files/a", tmp_path / "a", size=len(CONTENT), opener=Opener())
    assert index.seen == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, downloads.ATTEMPTS)])
def test_refusals_end_at_once_and_troubles_are_tried_again(tmp_path, status, requests):
    with (
        serving(files={"a": CONTENT}, statuses=[status] * 9) as index,
        pytest.raises(DownloadError, match=f"HTTP {status}"),
    ):
        download(f"{index.address}/files/a", tmp_path / "a", size=len(CONTENT), opener=Opener())
    assert len(index.seen) == requests


def test_tries_are_counted_anew_whenever_bytes_came(tmp_path):
    cuts = [1000] * (downloads.ATTEMPTS + 3)
    with serving(files={"a": CONTENT}, cut_after=cuts) as index:
        download(f"{index.address}/files/a", tmp_path / "a", size=len(CONTENT), opener=Opener())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(index.seen) == downloads.ATTEMPTS + 4


def test_a_full_disk_is_not_taken_for_a_bad_network(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "_continue", full)
    with pytest.raises(OSError, match="No space left") as error:
        download("http://index.invalid/a", tmp_path / "a", size=1, opener=Opener())
    assert not isinstance(error.value, DownloadError)


def test_passwords_do_not_appear_in_messages():
    text = "open https://me:word@host/simple and http://token@host:8080/x"
    assert redacted(text) == "open https://****@host/simple and http://****@host:8080/x"
