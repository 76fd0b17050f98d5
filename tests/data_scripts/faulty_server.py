"""A file server on this machine that truncates, stalls, resets and lies about length on demand."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

PROBE = "bytes=0-0"
"""What a client asks for that only wants to know the size."""


@dataclass
class FaultyServer:
    """What the server gives, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    """Path to content."""
    faults: list[tuple[str, int]] = field(default_factory=list)
    """For each coming download: "cut", "reset" or "stall", and after how many bytes."""
    claims: dict[str, int] = field(default_factory=dict)
    """Path to the size that is stated instead of the true one."""
    versions: dict[str, str] = field(default_factory=dict)
    """Path to the ETag."""
    ranges: bool = True
    """Whether a part of a file may be asked for."""
    lengths: bool = True
    """Whether sizes are stated at all."""
    status: int = 200
    """Another status is all that is answered."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Path and asked range ("" for all) of each request."""
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def downloads(self) -> list[tuple[str, str]]:
        """The requests that were no probes."""
        return [(path, asked) for path, asked in self.seen if asked != PROBE]


class _Handler(BaseHTTPRequestHandler):
    server_state: FaultyServer

    def do_GET(self) -> None:
        state, path = self.server_state, unquote(self.path.lstrip("/"))
        asked = self.headers.get("Range", "")
        state.seen.append((path, asked))
        if state.status != 200 or path not in state.files:
            self.send_error(state.status if state.status != 200 else 404)
            return
        content = state.files[path]
        claimed = state.claims.get(path, len(content))
        start = 0
        if asked and state.ranges:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= claimed:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{claimed - 1}/{claimed}")
        else:
            self.send_response(200)
        end = 1 if asked == PROBE and state.ranges else claimed
        if state.lengths:
            self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", state.versions.get(path, '"1"'))
        self.end_headers()
        body = content[start:end]
        fault, after = ("", 0)
        if asked != PROBE and state.faults:
            fault, after = state.faults.pop(0)
            body = body[:after]
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:  # a client that only wanted the headers has gone
            return
        if fault == "stall":
            state.released.wait(20)
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def serving(files: dict[str, bytes], **settings: object) -> Iterator[FaultyServer]:
    """Serve files on a free port of this machine."""
    state = FaultyServer(files, **settings)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"server_state": state})
    )
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
