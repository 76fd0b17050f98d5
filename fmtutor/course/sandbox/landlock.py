"""Landlock: Linux' own way for a process to give up files and the network, without being root."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE, ADD, RESTRICT = 444, 445, 446  # the same numbers on every architecture
NO_NEW_PRIVILEGES = 38
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = READ_FILE | READ_DIR
FIRST_RIGHTS = (1 << 13) - 1
# Rights that later versions of the interface know, by the version that brought them.
LATER_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
# What can be asked of a file; the others are about folders.
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14
TCP = 3  # bind and connect
SCOPES = 3  # abstract unix sockets and signals


def version() -> int:
    """Return the version of the kernel's interface; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    found = _system_call(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(found, 0)


def restrict(*, read: Iterable[Path], write: Iterable[Path]) -> int:
    """Give up, for good, all files but those beneath ``read`` and ``write``, and TCP.

    Args:
        read: Files and folders that may be read. What does not exist is passed over.
        write: Files and folders that may be read, written, made and removed, never executed.

    Returns:
        The version in force; 0 if this system has no Landlock, and nothing was given up.

    Raises:
        OSError: The kernel has Landlock and refused.
    """
    level = version()
    if level == 0:
        return 0
    rights = FIRST_RIGHTS
    for since, right in LATER_RIGHTS.items():
        rights |= right if level >= since else 0
    attributes = struct.pack("=QQQ", rights, TCP, SCOPES)
    size = 8 if level < 4 else 16 if level < 6 else 24
    ruleset = _checked(CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    for paths, wanted in ((read, READ), (write, rights & ~EXECUTE)):
        for path in paths:
            _allow(ruleset, path, wanted)
    _libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _checked(RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
    return level


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= FILE_RIGHTS
        rule = struct.pack("=Qi", rights, handle)
        _checked(ADD, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _system_call(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


def _checked(number: int, *arguments: object) -> int:
    result = _system_call(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock: {os.strerror(error)}")
    return result
