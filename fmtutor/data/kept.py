"""Loaded cases kept in memory: the last ones asked for, as many as a share of the memory holds.

A count would not do: at half the spacing a case takes eight times the memory.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
import psutil

SHARE_OF_MEMORY = 0.25
"""What one stream may keep of this machine's memory: a choice that leaves most to training."""
T = TypeVar("T")


class Kept(Generic[T]):
    """What `load` returned for the last keys; threads may ask at one time.

    Args:
        load: Key to value, always the same for a key.
        size: Bytes of a value.
        most_bytes: Kept at most, the newest value excepted; None is `SHARE_OF_MEMORY` of all.
    """

    def __init__(
        self,
        load: Callable[..., T],
        size: Callable[[T], int],
        *,
        most_bytes: int | None = None,
    ) -> None:
        self.load, self.size = load, size
        whole = psutil.virtual_memory().total
        self.most_bytes = int(SHARE_OF_MEMORY * whole) if most_bytes is None else most_bytes
        self._values: OrderedDict[tuple[Any, ...], T] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def __call__(self, *key: Any) -> T:
        """Return the value of a key, loaded if it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = self.load(*key)  # others may go on meanwhile; two may load one key, to one result
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._bytes += self.size(value)
            while self._bytes > self.most_bytes and len(self._values) > 1:
                self._bytes -= self.size(self._values.popitem(last=False)[1])
        return value

    def __len__(self) -> int:
        return len(self._values)


def bytes_of(*arrays: np.ndarray | None) -> int:
    """Return the memory of arrays, in bytes; None takes nothing."""
    return sum(array.nbytes for array in arrays if array is not None)
