"""A package index on this machine, honest or broken as a test wants it, and a small archive."""

import base64
import hashlib
import io
import json
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from fmtutor.data.sample_files import Archive, Member

ROOT = "volumes-1.0/files/"
CONTENTS = {
    "image.bin": np.random.default_rng(1).bytes(150_000),
    "labels.bin": np.random.default_rng(2).bytes(40_000),
}


def make_archive(folder: Path, name: str = "volumes-1.0.tar.gz", **extra: bytes) -> Archive:
    """Write an archive of `CONTENTS` (and more, by stored path) and return its pins."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {ROOT + path: content for path, content in CONTENTS.items()} | extra
    if name.endswith(".whl"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path, content in stored.items():
                archive.writestr(path, content)
    else:
        with tarfile.open(folder / name, "w:gz") as archive:
            for path, content in stored.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    content = (folder / name).read_bytes()
    return Archive(
        project="Vol_umes",
        version="1.0",
        filename=name,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        root=ROOT,
        licence="none",
        members=tuple(
            Member("torso", path, len(data), hashlib.sha256(data).hexdigest())
            for path, data in CONTENTS.items()
        ),
    )


@dataclass
class LocalIndex:
    """What the server gives, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """File name to content."""
    hashes: dict[str, str] = field(default_factory=dict)
    """File name to the sha256 that the page states; none stated if missing."""
    as_json: bool = True
    """JSON pages (PEP 691) or HTML ones (PEP 503)."""
    page: str | None = None
    """Text of every project page, as JSON, instead of the list of files."""
    login: str | None = None
    """"user:password" that every request must carry."""
    ranges: bool = True
    """Whether a part of a file may be asked for."""
    cut_after: list[int] = field(default_factory=list)
    """For each coming download: bytes after which the connection is dropped."""
    stall_after: list[int] = field(default_factory=list)
    """For each coming download: bytes after which nothing more comes."""
    redirect_files_to: str | None = None
    """Base address that files are redirected to."""
    statuses: list[int] = field(default_factory=list)
    """Status codes that the coming requests get instead of an answer."""
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths asked for, with the headers."""
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The simple index, for pip's index-url."""
        return f"{self.address}/simple/"

    @property
    def downloads(self) -> list[dict[str, str]]:
        """Headers of each request for a file."""
        return [headers for path, headers in self.seen if path.startswith("/files/")]


class _Handler(BaseHTTPRequestHandler):
    index: LocalIndex

    def do_GET(self) -> None:
        index = self.index
        index.seen.append((self.path, dict(self.headers)))
        expected = index.login and "Basic " + base64.b64encode(index.login.encode()).decode()
        if index.statuses:
            self.send_error(index.statuses.pop(0))
        elif expected and self.headers.get("Authorization") != expected:
            self.send_error(401)
        elif self.path == "/simple/vol-umes/":
            self._page()
        elif self.path.startswith("/files/") and self.path[7:] in index.files:
            self._file(self.path[7:])
        else:
            self.send_error(404)

    def _page(self) -> None:
        if self.index.page is not None:
            return self._send(self.index.page, "application/json")
        names, stated = self.index.files, self.index.hashes
        if self.index.as_json:
            kind = "application/vnd.pypi.simple.v1+json"
            hashes = {name: {"sha256": stated[name]} if name in stated else {} for name in names}
            files = [{"filename": n, "url": f"../../files/{n}", "hashes": hashes[n]} for n in names]
            text = json.dumps({"meta": {"api-version": "1.0"}, "files": files})
        else:
            kind = "text/html; charset=utf-8"
            ends = {name: f"#sha256={stated[name]}" if name in stated else "" for name in names}
            text = "".join(f'<a href="../../files/{n}{ends[n]}">{n}</a>\n' for n in names)
        return self._send(text, kind)

    def _send(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def _file(self, name: str) -> None:
        index, content, start = self.index, self.index.files[name], 0
        if index.redirect_files_to:
            self.send_response(302)
            self.send_header("Location", f"{index.redirect_files_to}/files/{name}")
            self.end_headers()
            return
        asked = self.headers.get("Range")
        if asked and index.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if index.cut_after:
            self.wfile.write(body[: index.cut_after.pop(0)])
        elif index.stall_after:
            self.wfile.write(body[: index.stall_after.pop(0)])
            self.wfile.flush()
            index.released.wait(20)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def serving(certificate: Path | None = None, **settings: object) -> Iterator[LocalIndex]:
    """Serve an index on a free port of this machine, over TLS where a PEM file is given."""
    index = LocalIndex(**settings)  # type: ignore[arg-type]
    handler = type("Handler", (_Handler,), {"index": index})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    index.address = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        index.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
