"""The process that a grader keeps: it loads torch once, and forks for every question.

It reads jobs from its standard input and writes outcomes to its standard output, each as frames of
eight bytes of length and that many bytes. A question is run two forks away: the first child leaves
the network and the other processes and keeps the time, the second runs the student's function. So
this process never holds anything that a student wrote.
"""

import json
import os
import select
import signal
import struct
import sys
import tempfile
import time
from typing import Any, BinaryIO

LENGTH = struct.Struct(">Q")
ANSWER_BYTES = 8 * 2**20
CHUNK = 2**16


def main() -> None:
    """Serve until the standard input ends."""
    # Loaded before the first fork, so that no question pays for it.
    import torch

    from . import child

    torch.set_num_threads(1)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while (header := read_frame(source)) is not None:
        payload = read_frame(source) or b""
        outcome, answers = isolated(json.loads(header), payload, child.run, child.keep_only)
        write_frame(target, json.dumps(outcome).encode())
        write_frame(target, answers)


def isolated(job: dict[str, Any], payload: bytes, run: Any, keep_only: Any) -> tuple[dict, bytes]:
    """Run one question in a throw-away folder two processes away.

    Returns:
        How it ended (`end` is "done", "time", "size" or "died"; seconds), and the lines it wrote.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder:
        job = {**job, "folder": os.path.realpath(folder)}
        own, theirs = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            os.close(own)
            keep_time(job, payload, theirs, run, keep_only)
        os.close(theirs)
        data, end = collect(own, deadline=start + job["seconds"])
        if end != "done":
            os.kill(keeper, signal.SIGTERM)
        _, status = os.waitpid(keeper, 0)
        os.close(own)
    if end == "done" and status != 0:
        end = "died"
    return {"end": end, "seconds": round(time.monotonic() - start, 3)}, data


def collect(pipe: int, *, deadline: float) -> tuple[bytes, str]:
    """Read until the pipe closes, the time is over, or there is too much."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return b"".join(parts), "time"
        part = os.read(pipe, CHUNK)
        if not part:
            return b"".join(parts), "done"
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            return b"".join(parts), "size"


def keep_time(job: dict[str, Any], payload: bytes, pipe: int, run: Any, keep_only: Any) -> None:
    """Be the process in between: take the namespaces, start the child, end it when told to."""
    from . import isolation

    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
        namespaces = isolation.own_namespaces()
        child = os.fork()
        if child == 0:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
                os.setsid()
                keep_only(pipe)
                run(job, payload, namespaces)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(pipe)
        signal.sigwait({signal.SIGTERM, signal.SIGCHLD})
        end(child)  # before it is waited for: until then its number cannot be another's
        _, status = os.waitpid(child, 0)
    finally:
        os._exit(0 if status == 0 else 1)


def end(child: int) -> None:
    """Kill a child with its group; in a namespace of processes, all it ever started go with it."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def read_frame(source: BinaryIO) -> bytes | None:
    """Return the next frame; None at the end."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return source.read(LENGTH.unpack(head)[0])


def write_frame(target: BinaryIO, data: bytes) -> None:
    """Write one frame and send it off."""
    target.write(LENGTH.pack(len(data)) + data)
    target.flush()
