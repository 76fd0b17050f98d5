"""Where an archive file lies, according to the user's own pip configuration.

pip itself is asked for its settings (``pip config list`` merges files and environment), so a
private index, a mirror, a find-links folder, a proxy and a certificate work here as they work for
``pip install``. Only index pages are read: pip never downloads an archive for us, because
``pip download`` of a source archive runs its build.

Source: PEP 503 (simple index as HTML), PEP 691 (the same as JSON).
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from fmtutor.data.downloads import Opener, redacted

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1"
)
_SECTIONS = ("global", "install", ":env:")  # later ones win, as in pip
# An unreachable place, an unreadable page, JSON of another shape.
_BROKEN = (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError)
_DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


class PipMissingError(RuntimeError):
    """pip cannot be asked for its settings."""


@dataclass(frozen=True, kw_only=True)
class PipSettings:
    """What pip is configured for, as far as finding and fetching a file goes."""

    indexes: tuple[str, ...] = ()
    """Simple indexes, the main one first; they may hold ``user:password@``."""
    find_links: tuple[str, ...] = ()
    """Folders, or pages of links."""
    cert: str | None = None
    """File (or folder) of certificate authorities."""
    client_cert: str | None = None
    """Client certificate and key in one PEM file."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts, with or without port, whose certificate is not checked."""
    proxy: str | None = None
    """Proxy for http and https; None follows the environment."""
    timeout_s: float = 15.0
    """Seconds without any byte before a connection counts as stalled."""


@dataclass(frozen=True)
class Link:
    """A place that claims to have the file."""

    url: str
    source: str
    """The index or folder that named it."""
    sha256: str | None = None
    """The digest that the source states, if it does."""


def read_pip_settings() -> PipSettings:
    """Ask the pip of the running Python for its settings.

    Raises:
        PipMissingError: This Python has no working pip.
    """
    options: dict[str, str] = {}
    lines = _pip_output("-m", "pip", "--disable-pip-version-check", "config", "list").splitlines()
    for section in _SECTIONS:
        for line in lines:
            key, _, value = line.partition("=")
            if key.startswith(f"{section}.") and value:
                options[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return settings_from(options)


def settings_from(options: dict[str, str]) -> PipSettings:
    """Build settings from pip's option names, the main index being pip's default if not set."""
    if options.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes: tuple[str, ...] = ()
    else:
        main = options.get("index-url") or _pip_output("-c", _DEFAULT_INDEX).strip()
        indexes = (main, *options.get("extra-index-url", "").split())
    timeout = options.get("timeout") or options.get("default-timeout") or 15
    return PipSettings(
        indexes=tuple(dict.fromkeys(indexes)),
        find_links=tuple(dict.fromkeys(options.get("find-links", "").split())),
        cert=options.get("cert") or None,
        client_cert=options.get("client-cert") or None,
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        proxy=options.get("proxy") or None,
        timeout_s=float(timeout),
    )


def find_links_to(
    filename: str,
    project: str,
    settings: PipSettings,
    opener: Opener,
    *,
    note: Callable[[str], None],
) -> Iterator[Link]:
    """Yield every place that has ``filename``: find-links first, then the indexes in order.

    A place that is broken, unreachable or lacks the project is noted and passed over.

    Args:
        filename: Exact name of the archive file.
        project: Name of its project.
        settings: What pip is configured for.
        opener: Opens the pages.
        note: Receives one line for each place that had nothing.
    """
    for place in settings.find_links:
        yield from _from(place, place, filename, opener, note)
    name = re.sub(r"[-_.]+", "-", project).lower()
    for index in settings.indexes:
        page = f"{index.rstrip('/')}/{name}/"
        yield from _from(index, page, filename, opener, note)


def _from(
    place: str, page: str, filename: str, opener: Opener, note: Callable[[str], None]
) -> Iterator[Link]:
    """Yield the links of one place that end in the file's name."""
    try:
        links = [link for link in _page_links(page, opener) if _basename(link.url) == filename]
    except HTTPError as error:
        note(f"{redacted(place)}: HTTP {error.code}")
    except _BROKEN as error:
        note(f"{redacted(place)}: {redacted(str(error)) or type(error).__name__}")
    else:
        if not links:
            note(f"{redacted(place)}: does not list {filename}")
        yield from links


def _page_links(place: str, opener: Opener) -> list[Link]:
    """Return the links of a local folder, a local page, or a page over HTTP."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return _http_links(place, opener)
    path = Path(url2pathname(parts.path) if parts.scheme == "file" else place).expanduser()
    if path.is_dir() and (path / "index.html").is_file() and parts.scheme == "file":
        path = path / "index.html"
    if path.is_dir():
        return [Link(item.resolve().as_uri(), place) for item in sorted(path.iterdir())]
    if not path.is_file():
        raise ValueError("no such file or folder")
    if path.suffix.lower() not in (".html", ".htm"):
        return [Link(path.resolve().as_uri(), place)]
    return _html_links(path.read_text(errors="replace"), path.resolve().as_uri(), place)


def _http_links(place: str, opener: Opener) -> list[Link]:
    content, kind, base = opener.read(place, {"Accept": ACCEPT})
    text = content.decode("utf-8", errors="replace")
    if kind.endswith("json"):
        files = json.loads(text)["files"]
        return [
            Link(urljoin(base, item["url"]), place, item.get("hashes", {}).get("sha256"))
            for item in files
        ]
    return _html_links(text, base, place)


class _Anchors(HTMLParser):
    """Collects the targets of a page's links, and the page's base."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag == "base" and target and self.base is None:
            self.base = target
        elif tag == "a" and target:
            self.targets.append(target)


def _html_links(text: str, base: str, place: str) -> list[Link]:
    anchors = _Anchors()
    anchors.feed(text)
    base = urljoin(base, anchors.base or "")
    links = []
    for target in anchors.targets:
        url, fragment = urldefrag(urljoin(base, target.strip()))
        stated = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        links.append(Link(url, place, stated))
    return links


def _basename(url: str) -> str:
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _pip_output(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PipMissingError(
            f"pip's configuration could not be read ({reason}); install pip into this Python "
            "(python -m ensurepip)"
        )
    return done.stdout
