"""What a process gives up before it runs a stranger's function."""

import ctypes
import os
import resource
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from . import landlock

NEW_USER, NEW_NETWORK, NEW_PROCESSES, NEW_IPC = 0x10000000, 0x40000000, 0x20000000, 0x08000000
FILE_BYTES = 16 * 2**20
OPEN_FILES = 64
PROCESSES = 64
# Python's own folders of packages; which of their entries can be read is decided one by one.
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
REFUSED = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
    "socket.",
    "ctypes.",
    "sys.addaudithook",
)
# Events whose first arguments are paths that would be changed.
CHANGES = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def own_namespaces() -> tuple[str, ...]:
    """Leave the network, and let the next child be the first process of a world of its own.

    Returns:
        What was obtained: "network" and "processes", or nothing where the system forbids it.
    """
    if not sys.platform.startswith("linux"):
        return ()
    user, group = os.geteuid(), os.getegid()
    wanted = NEW_USER | NEW_NETWORK | NEW_PROCESSES | NEW_IPC
    if ctypes.CDLL(None, use_errno=True).unshare(wanted) != 0:
        return ()
    # Without a mapping of its own number, the process could not even make a file.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return ("network", "processes")


def limit(*, seconds: float, memory_bytes: int) -> None:
    """Limit this process: processor time, memory beyond what it has now, files, core dumps."""
    whole = int(seconds) + 2
    limits = {
        resource.RLIMIT_CPU: whole,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: PROCESSES,
    }
    pages = Path("/proc/self/statm")
    if pages.exists():  # macOS has none, and its kernel ignores a limit on memory
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = now + memory_bytes
    for name, value in limits.items():
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def readable(hidden: tuple[str, ...]) -> Iterator[Path]:
    """Yield Python's library and every installed package but those whose names begin as hidden."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {Path(sysconfig.get_path(name)) for name in names}
    folders |= {Path(entry) for entry in sys.path if Path(entry).name in PACKAGE_FOLDERS}
    for folder in sorted(folders):
        for entry in folder.iterdir() if folder.is_dir() else ():
            text = entry.name.lower()
            concealed = text.startswith(hidden) or text.startswith("__editable__")
            if not concealed and entry.name not in PACKAGE_FOLDERS and entry.suffix != ".pth":
                yield entry
    yield from (Path("/dev/urandom"), Path("/etc/localtime"))


def shut_files(folder: Path, hidden: tuple[str, ...]) -> int:
    """Give up all files but the installed packages and ``folder``; 0 where that is impossible."""
    return landlock.restrict(read=readable(hidden), write=(folder, Path("/dev/null")))


def refuse_in_python(folder: Path, concealed: tuple[str, ...]) -> None:
    """Refuse in Python what an answer has no use for; this cannot be taken back.

    Args:
        folder: Where alone files may be written.
        concealed: Folders that must not be read: the solutions, the other submissions.
    """
    inside = os.path.realpath(folder) + os.sep
    secret = tuple(os.path.realpath(path) + os.sep for path in concealed)
    join, real, refused, changes = os.path.join, os.path.realpath, REFUSED, CHANGES

    def place(path: object) -> str:
        return real(path) if isinstance(path, (str, bytes, os.PathLike)) else ""  # type: ignore

    def guard(event: str, arguments: tuple) -> None:
        if event.startswith(refused):
            raise PermissionError(f"{event} is not allowed while an answer is graded")
        if event == "open":
            path, flags = place(arguments[0]), arguments[2] or 0
            wrong = path.startswith(secret) or bool(
                flags & WRITING and path and not path.startswith(inside) and path != os.devnull
            )
        elif event in ("os.listdir", "os.scandir"):
            path = place(arguments[0] or ".")
            wrong = join(path, "").startswith(secret)
        elif event in changes:
            paths = [place(path) for path in arguments[: changes[event]]]
            wrong = any(path and not path.startswith(inside) for path in paths)
        else:
            return
        if wrong:
            raise PermissionError("files outside the working folder are not allowed in grading")

    sys.addaudithook(guard)
