"""What was fetched: address, size, sha256, and on whose word each file is trusted."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from fmtutor.core.files import read_json, write_json
from fmtutor.data.downloads import CHUNK, redacted
from fmtutor.data.sources import Remote

LEDGER = "fetched.json"
"""In the folder of downloads: what each file was when it was fetched."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a fetched file is."""

    url: str
    size: int
    sha256: str
    trust: str
    """"published checksum md5:...", or "first use"."""
    changed_ns: int
    """When it was last written; while time and size stand, the hash is not computed anew."""


def ledger(folder: Path) -> Mapping[str, Receipt]:
    """Return the receipts of a folder of downloads by file name; empty where it has none.

    Raises:
        ValueError: The ledger is damaged, or not ours.
    """
    path = folder / LEDGER
    if not path.is_file():
        return {}
    try:
        return {name: Receipt(**row) for name, row in read_json(path).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must list what was fetched, got something else ({error}); delete it and run "
            "this again: each file is then compared with its published checksum, and one without "
            "is trusted anew."
        ) from error


def record(folder: Path, name: str, receipt: Receipt) -> None:
    """Keep the receipt of a file in the ledger of its folder."""
    rows = {key: asdict(row) for key, row in ledger(folder).items()}
    write_json(folder / LEDGER, rows | {name: asdict(receipt)})


def receipt_of(remote: Remote, path: Path, sha256: str) -> Receipt:
    """Return the receipt of a file that lies at ``path`` and has been verified."""
    stat = path.stat()
    return Receipt(
        url=redacted(remote.url),
        size=stat.st_size,
        sha256=sha256,
        trust=f"published checksum {remote.checksum}" if remote.checksum else "first use",
        changed_ns=stat.st_mtime_ns,
    )


def digests_of(path: Path) -> dict[str, str]:
    """Return sha256 and md5 of a file in one reading."""
    both = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    total, quiet = path.stat().st_size, not sys.stderr.isatty()
    bar = tqdm(total=total, unit="B", unit_scale=True, desc="verifying", disable=quiet)
    with path.open("rb") as file, bar:
        while chunk := file.read(16 * CHUNK):
            for digest in both.values():
                digest.update(chunk)
            bar.update(len(chunk))
    return {kind: digest.hexdigest() for kind, digest in both.items()}
