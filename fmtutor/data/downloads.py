"""Downloads that survive: certificates, proxies and passwords as pip has them; resume; retry."""

import base64
import errno
import netrc
import os
import re
import ssl
import sys
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    BaseHandler,
    HTTPSHandler,
    ProxyHandler,
    Request,
    build_opener,
)
from urllib.response import addinfourl

from tqdm import tqdm

ATTEMPTS = 5
"""Tries per link that bring no new byte; each goes on where the last one stopped."""
PAUSE_S = 0.5
"""Wait before the second try; doubles each time."""
CHUNK = 1 << 18
_GIVE_UP = frozenset({400, 401, 403, 404, 405, 410, 451})


class DownloadError(OSError):
    """A file could not be downloaded from one place; the message says why."""


def redacted(text: str) -> str:
    """Return text whose addresses show no user name and no password."""
    return re.sub(r"(\w://)[^/\s@]+@", r"\1****@", text)


def ssl_context(cert: str | None = None, client_cert: str | None = None) -> ssl.SSLContext:
    """Return a verifying context.

    Args:
        cert: File or folder of authorities, used alone; None takes REQUESTS_CA_BUNDLE or
            CURL_CA_BUNDLE as pip does, else the system's and, where installed, certifi's.
        client_cert: PEM file of a client certificate with its key.

    Raises:
        ValueError: A certificate file does not exist or is not PEM.
    """
    cert = cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        if cert:
            path = Path(cert).expanduser()
            folder, file = (str(path), None) if path.is_dir() else (None, str(path))
            context = ssl.create_default_context(cafile=file, capath=folder)
        else:
            context = ssl.create_default_context()
            _add_certifi(context)
        if client_cert:
            context.load_cert_chain(str(Path(client_cert).expanduser()))
    except OSError as error:  # ssl.SSLError is an OSError
        raise ValueError(
            f"pip's certificate settings must name readable PEM files, got cert={cert!r}, "
            f"client-cert={client_cert!r} ({error}); correct them with `pip config`."
        ) from error
    return context


def _add_certifi(context: ssl.SSLContext) -> None:
    """Python builds without system certificates (macOS) still get a set of authorities."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())


class _Credentials(BaseHandler):
    """Adds the password of a host to each request for it, and to no other host's.

    As a request processor it also sees redirected requests, so that a redirect to a storage host
    does not carry the index's password there.
    """

    def __init__(self) -> None:
        self.by_host: dict[str, str] = {}

    def http_request(self, request: Request) -> Request:
        found = self.by_host.get(request.host) or _netrc_login(request.host)
        if found:
            token = base64.b64encode(found.encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        return request

    https_request = http_request


def _netrc_login(host: str) -> str | None:
    """Return "user:password" of a host from the user's netrc file, if it has one."""
    places = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for place in places:
        path = Path(place).expanduser() if place else None
        if path and path.is_file():
            try:
                login = netrc.netrc(str(path)).authenticators(host.rsplit(":", 1)[0])
            except (netrc.NetrcParseError, OSError):
                return None
            return f"{login[0]}:{login[2]}" if login else None
    return None


class Opener:
    """Opens http(s) addresses with one set of certificates, proxies and passwords."""

    def __init__(
        self,
        *,
        cert: str | None = None,
        client_cert: str | None = None,
        trusted_hosts: tuple[str, ...] = (),
        proxy: str | None = None,
        timeout_s: float = 15.0,
    ) -> None:
        self.timeout_s = timeout_s
        self._trusted = frozenset(trusted_hosts)
        self._credentials = _Credentials()
        proxies = ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
        context = ssl_context(cert, client_cert)
        self._checked = build_opener(proxies, HTTPSHandler(context=context), self._credentials)
        self._unchecked = self._checked
        if trusted_hosts:
            unchecked = ssl_context(cert, client_cert)
            unchecked.check_hostname = False
            unchecked.verify_mode = ssl.CERT_NONE
            https = HTTPSHandler(context=unchecked)
            self._unchecked = build_opener(proxies, https, self._credentials)

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> HTTPResponse | addinfourl:
        """Open an address; ``user:password@`` in it is sent as basic auth, then and later."""
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        if at:
            name, _, word = user.partition(":")
            self._credentials.by_host[host] = f"{unquote(name)}:{unquote(word)}"
        request = Request(urlunsplit(parts._replace(netloc=host)), headers=dict(headers or {}))
        request.add_header("User-Agent", "fmtutor")
        trusted = host in self._trusted or parts.hostname in self._trusted
        opener = self._unchecked if trusted else self._checked
        return opener.open(request, timeout=self.timeout_s)

    def read(self, url: str, headers: Mapping[str, str]) -> tuple[bytes, str, str]:
        """Return a page's content, its content type and its final address.

        A server that is overloaded (429, 5xx) is asked once more.
        """
        try:
            response = self.open(url, headers)
        except HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise
            time.sleep(PAUSE_S)
            response = self.open(url, headers)
        with response:
            return response.read(), response.headers.get_content_type(), response.geturl()


def download(url: str, part: Path, *, size: int, opener: Opener) -> None:
    """Complete ``part`` to ``size`` bytes, going on from the bytes it already has.

    A stalled or cut connection is tried again. The content is not checked here.

    Args:
        url: Address of the file.
        part: Where it is written; kept on failure, so that the next call resumes.
        size: Bytes of the whole file.
        opener: Opens the address.

    Raises:
        DownloadError: The server refuses, or every attempt ended early.
    """
    reason, failures, furthest = "", 0, _bytes_of(part)
    while failures < ATTEMPTS:
        if failures:
            time.sleep(PAUSE_S * 2 ** (failures - 1))
        try:
            _continue(url, part, size=size, opener=opener)
        except HTTPError as error:
            reason = f"HTTP {error.code}"
            if error.code in _GIVE_UP:
                break
            if error.code == 416:  # the part is longer than the server's file
                part.unlink(missing_ok=True)
        except (OSError, HTTPException) as error:
            reason = redacted(str(error)) or type(error).__name__
            if _on_our_disk(error):
                raise
            if url.startswith("file:") or _untrusted(error):
                break
        else:
            return
        failures = 1 if _bytes_of(part) > furthest else failures + 1
        furthest = max(furthest, _bytes_of(part))
    raise DownloadError(f"{redacted(url)}: {reason}")


def _on_our_disk(error: BaseException) -> bool:
    """Tell a failure of our own disk (full, read-only) from one of the network."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EROFS, errno.EDQUOT)


def _untrusted(error: BaseException) -> bool:
    return isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _continue(url: str, part: Path, *, size: int, opener: Opener) -> None:
    """One attempt: ask for the missing bytes and append them."""
    have = _bytes_of(part)
    if have > size:
        have = 0
    if have == size:
        return
    with opener.open(url, {"Range": f"bytes={have}-"} if have else None) as response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise DownloadError("the server sent another range than it was asked for")
        if not resumed:
            have = 0
        with part.open("ab" if resumed else "wb") as file, _bar(url, size, have) as bar:
            while chunk := response.read(min(CHUNK, size - have + 1)):
                have += len(chunk)
                if have > size:
                    raise DownloadError(f"the server sends more than the {size} bytes expected")
                file.write(chunk)
                bar.update(len(chunk))
    if have < size:
        raise DownloadError(f"the connection ended after {have} of {size} bytes")


def _bar(url: str, size: int, have: int) -> tqdm:
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    quiet = not sys.stderr.isatty()
    return tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=name, disable=quiet)
