"""What must hold for the built book: links lead somewhere, figures speak, nothing is loaded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OUTSIDE = re.compile(r"^(?:https?:)?//")
CSS_ADDRESS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)")
# What a browser loads by itself; a link that a reader may follow is none of them.
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}
LOADING_LINKS = {"stylesheet", "preload", "prefetch", "modulepreload", "icon", "preconnect"}


@dataclass(frozen=True, order=True)
class Finding:
    """Something that must not be in the book."""

    page: str
    rule: str
    value: str

    def __str__(self) -> str:
        """Say where, what rule, and what breaks it."""
        return f"{self.page}: {self.rule}: {self.value}"


@dataclass
class _Page(HTMLParser):
    """What matters of a page."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    silent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep anchors, links, what is loaded, and pictures without a text."""
        values = {name: value or "" for name, value in attrs}
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").split()):
            self.loaded.append(values.get("href", ""))
        self.loaded += [values[key] for kind, key in LOADED if kind == tag and key in values]
        if tag == "img" and not _speaks(values):
            self.silent.append(values.get("src", "")[:80])


def check_site(site: Path) -> list[Finding]:
    """Return what is wrong with the pages and style sheets of a folder."""
    findings: list[Finding] = []
    _read.cache_clear()
    for path in sorted(site.rglob("*.html")):
        page, name = _read(path), path.relative_to(site).as_posix()
        findings += [Finding(name, "a link leads nowhere", link) for link in _dead(path, page)]
        findings += [
            Finding(name, "something is loaded from outside", address)
            for address in page.loaded
            if OUTSIDE.match(address)
        ]
        findings += [Finding(name, "a picture has no text", source) for source in page.silent]
    for path in sorted(site.rglob("*.css")):
        name = path.relative_to(site).as_posix()
        findings += [
            Finding(name, "something is loaded from outside", address)
            for address in CSS_ADDRESS.findall(path.read_text(errors="replace"))
        ]
    return findings


def _dead(path: Path, page: _Page) -> Iterator[str]:
    """Yield the internal links of a page whose file or anchor is not there."""
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link == "#":
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file() or not _has(target, unquote(parts.fragment)):
            yield link


def _has(target: Path, anchor: str) -> bool:
    """Tell whether a file has a place of this name; only pages have places."""
    return not anchor or target.suffix != ".html" or anchor in _read(target).names


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _speaks(values: dict[str, str]) -> bool:
    """Tell whether a picture has a text; the path of its file, which tools put there, is none."""
    text = values.get("alt", "").strip()
    return bool(text) and not re.search(r"\.(png|svg|jpe?g)$", text)
