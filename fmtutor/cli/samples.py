"""`fmtutor samples`: fetch the real volumes, or list them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Fetch the real sample volumes (once; they stay in the cache), or list them."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which ones; none named means all."""
    listed: Annotated[bool, tyro.conf.arg(name="list"), tyro.conf.FlagCreatePairsOff] = False
    """Only list them: whether they are here, their role, what they are. Nothing is fetched."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """An archive file, or a folder of archive files, to read instead of downloading."""

    def run(self) -> int:
        """Fetch or list, one line a sample."""
        from fmtutor.core.tables import lookup
        from fmtutor.data.samples import SAMPLES, fetch_samples, samples_folder

        for name in self.names:
            lookup(SAMPLES, name, "sample")
        if self.listed:
            print("\n".join(self.lines()))
            return 0
        if self.source is not None:
            folders = fetch_samples(self.source, names=self.names or None)
            print("\n".join(f"{folder.name:18s} {folder}" for folder in folders))
            return 0
        print(f"cache: {samples_folder()}")
        for name in self.names or SAMPLES:
            print(f"{name:18s} ", end="", flush=True)
            print(fetch_samples(names=[name])[0])
        return 0

    def lines(self) -> list[str]:
        """Describe each sample in a line."""
        from fmtutor.data.samples import SAMPLES, is_cached

        return [
            f"{name:18s} {'here' if is_cached(name) else 'absent':7s} {SAMPLES[name].role:10s} "
            f"{SAMPLES[name].licence:13s} {SAMPLES[name].description}"
            for name in self.names or SAMPLES
        ]
