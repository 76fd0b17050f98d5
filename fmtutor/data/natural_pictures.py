"""Everyday pictures that lie in scikit-image's package: what a network may see before medicine.

The original Segment Anything learned from eleven million photographs; thirteen pictures are no
such thing, but they hold edges, textures and objects that no scanner shows, cost no download, and
every one is in the public domain. Medical and microscopy pictures of the package (cell, ihc,
retina, microaneurysms, phantom), faces and logos stay out, as do pictures whose licence is not
stated beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from skimage.io import imread
from torch.nn import functional

from fmtutor.core.files import sha256_of
from fmtutor.core.tables import lookup
from fmtutor.data.scenes import Scene

LEAST_CROP = 64
"""Pixels of the smallest crop's side."""


@dataclass(frozen=True, kw_only=True)
class NaturalPicture:
    """One file of scikit-image's package."""

    file: str
    """Its name in the package's data folder."""
    sha256: str
    """Of the file."""
    licence: str
    """As scikit-image states it."""
    shows: str
    """What is to be seen."""


_ROWS = (
    ("astronaut", "png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
     "public domain", "a woman in a space suit"),
    ("brick", "png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
     "CC0", "a wall"),
    ("camera", "png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
     "CC0", "a man with a camera"),
    ("chelsea", "png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
     "CC0", "a cat"),
    ("clock_motion", "png", "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
     "public domain", "a clock, blurred by motion"),
    ("coffee", "png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
     "CC0", "a cup on a table"),
    ("coins", "png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
     "no known restrictions", "coins in rows"),
    ("grass", "png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
     "CC0", "grass from above"),
    ("gravel", "png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
     "CC0", "stones from above"),
    ("horse", "png", "c7fb60789fe394c485f842291ea3b21e50d140f39d6dcb5fb9917cc178225455",
     "CC0", "the outline of a horse"),
    ("hubble_deep_field", "jpg", "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
     "public domain", "galaxies"),
    ("rocket", "jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
     "public domain", "a rocket on its pad"),
    ("text", "png", "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
     "public domain", "handwriting"),
)  # fmt: skip

PICTURES = MappingProxyType(
    {
        name: NaturalPicture(file=f"{name}.{kind}", sha256=digest, licence=licence, shows=shows)
        for name, kind, digest, licence, shows in _ROWS
    }
)
"""Every picture by name."""


def natural_picture(name: str) -> Float[np.ndarray, "H W"]:
    """Return a picture in grey, values in [0, 1], read from the installed package.

    Raises:
        ValueError: There is no such picture, or the installed package has another or none.
    """
    info = lookup(PICTURES, name, "natural picture")
    with as_file(files("skimage") / "data" / info.file) as path:
        if not path.is_file() or sha256_of(path) != info.sha256:
            raise ValueError(
                f"picture {name!r} must be the file {info.file} of scikit-image 0.24 to 0.26, and "
                "the installed package has another or none; install one of those."
            )
        grey = imread(path, as_gray=True)
    scaled = grey / 255 if grey.dtype == np.uint8 else grey
    return scaled.astype(np.float32)


class NaturalSource:
    """Crops of the pictures, as scenes without annotation.

    Args:
        size: Pixels along each side of a scene.
        names: Of `PICTURES`; None is all.
    """

    depth = 1

    def __init__(self, size: int = 128, *, names: Sequence[str] | None = None) -> None:
        self.size = size
        self.names = tuple(PICTURES if names is None else names)
        self.pictures = [torch.from_numpy(natural_picture(name)) for name in self.names]

    def scene(self, rng: np.random.Generator) -> Scene:
        """Draw a picture, and a square of it at a random scale and quarter turn."""
        picture = self.pictures[rng.integers(len(self.pictures))]
        shortest = min(picture.shape)
        side = round(float(np.exp(rng.uniform(np.log(LEAST_CROP), np.log(shortest)))))
        top, left = (int(rng.integers(0, n - side + 1)) for n in picture.shape)
        crop = picture[None, None, top : top + side, left : left + side]
        square = functional.interpolate(
            crop, size=(self.size,) * 2, mode="bilinear", align_corners=False, antialias=True
        )[0, 0].clamp(0, 1)
        turned = torch.rot90(square, int(rng.integers(4)))
        return Scene(
            image=turned.numpy()[:, :, None],
            labels=np.zeros((self.size, self.size, 1), np.uint8),
            border="reflection",
        )
