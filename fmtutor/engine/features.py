"""Features of a frozen encoder, computed once and kept on disk.

Black-box adapters and linear probes never change the encoder: over a fixed list of crops its
output is a constant, and a training step that reads it from disk costs a small fraction of one
that runs the network.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fmtutor.core.devices import Precision, autocast, best_device
from fmtutor.core.files import atomic_path

DEFAULT_LIMIT_MB = 4096


class FeatureCache:
    """The features of a list of crops under one frozen encoder, as files of a folder.

    The folder's name is made of the weights and of the crops, so a changed encoder, crop or
    precision never reads stale features, and a cache that was cut short goes on where it stopped.

    Example:
        >>> cache = FeatureCache(net, net, crops, "cache", count=40)  # doctest: +SKIP
        >>> for i in cache.build(): print(i)  # doctest: +SKIP
        >>> features = cache[0]  # float32 (E, H, W, D)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        encode: Callable[[Tensor], Tensor],
        crops: Callable[[int], Float[Tensor, "C H W D"]],
        folder: str | Path,
        *,
        count: int,
        limit_mb: float = DEFAULT_LIMIT_MB,
        precision: Precision = "auto",
        device: torch.device | str | None = None,
    ) -> None:
        """Prepare a cache; nothing is computed yet but the hashes.

        Args:
            model: The frozen network, whose weights name the cache; it is put into evaluation
                mode.
            encode: (1, C, H, W, D) to features (1, E, ...), run by ``model``'s weights.
            crops: Crop number to normalised crop; a pure function of the number.
            folder: Where caches live, each in a folder of its own.
            count: Number of crops.
            limit_mb: Most megabytes that this cache may take on disk.
            precision: As in training.
            device: Where the encoder runs; None is the best there is.

        Raises:
            ValueError: A parameter of the model is trainable.
        """
        if trainable := [name for name, p in model.named_parameters() if p.requires_grad]:
            raise ValueError(
                f"a cached encoder must be frozen, got {len(trainable)} trainable parameters "
                f"({trainable[0]}, ...); call model.requires_grad_(False)."
            )
        self.model, self.encode, self.crops, self.count = model.eval(), encode, crops, count
        self.limit_mb, self.precision = limit_mb, precision
        self.device = torch.device(device) if device is not None else best_device()
        key = f"{hash_of_weights(model)}-{hash_of_crops(crops, count)}-{precision}"
        self.folder = Path(folder) / key

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(self.count))

    def __getitem__(self, i: int) -> Tensor:
        """Return the features of crop ``i`` as float32 (E, ...), from disk where they are there."""
        if not 0 <= i < self.count:
            raise IndexError(f"crop numbers run from 0 to {self.count - 1}, got {i}.")
        path = self._path(i)
        if not path.exists():
            self._write(path, self.compute(i))
        with safe_open(str(path), framework="pt") as file:
            return file.get_tensor("features").float()

    @property
    def missing(self) -> list[int]:
        """The crops whose features are not on disk yet."""
        return [i for i in range(self.count) if not self._path(i).exists()]

    @property
    def size_mb(self) -> float:
        """Megabytes that the cache takes on disk now."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors")) / 1e6

    def build(self) -> Iterator[int]:
        """Compute what is missing, yielding the number of each crop once it is on disk.

        Raises:
            ValueError: The whole cache would be larger than the limit; told after the first
                crop, and nothing more is written.
        """
        for i in self.missing:
            self[i]
            expected = self._path(i).stat().st_size * self.count / 1e6
            if expected > self.limit_mb:
                self._path(i).unlink()
                raise ValueError(
                    f"the cache may take {self.limit_mb:.0f} MB, got {self.count} crops that need "
                    f"{expected:.0f} MB; take fewer or smaller crops, or raise limit_mb."
                )
            yield i

    @torch.inference_mode()
    def compute(self, i: int) -> Tensor:
        """Return the features of crop ``i`` as float16 (E, ...) from the encoder, not from disk.

        Raises:
            ValueError: A feature is not finite in fp16.
        """
        crop = self.crops(i)[None].to(self.device)
        self.model.to(self.device)
        with autocast(self.precision, self.device):
            features = self.encode(crop)[0]
        stored = features.to("cpu", torch.float16)
        if not bool(torch.isfinite(stored).all()):
            raise ValueError(
                f"features must fit into fp16 (below 65504), crop {i} has larger ones."
            )
        return stored

    def _path(self, i: int) -> Path:
        return self.folder / f"{i:06d}.safetensors"

    def _write(self, path: Path, features: Tensor) -> None:
        with atomic_path(path) as part:
            save_file({"features": features.contiguous()}, part)


def hash_of_weights(model: nn.Module) -> str:
    """Return 12 hex digits over the names, shapes, dtypes and values of a network's state."""
    digest = hashlib.sha256(type(model).__name__.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:12]


def hash_of_crops(crops: Callable[[int], Tensor], count: int) -> str:
    """Return 12 hex digits over the shapes and values of all crops, in order."""
    digest = hashlib.sha256()
    for i in range(count):
        crop = crops(i)
        digest.update(f"{tuple(crop.shape)}{crop.dtype}".encode())
        digest.update(_bytes(crop))
    return digest.hexdigest()[:12]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
