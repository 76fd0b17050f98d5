"""A look-alike of TotalSegmentator v1 that the few-shot tables can run on.

Its layout is the release's: a folder a scan, the image, a mask for each of the 104 structures, most
of them empty, and ``meta.csv`` with semicolons. Nine organs are balls in a body. The scans bear
names of the published lists, so that supports can be drawn and tests scored; some others, of no
list, are there to teach a base.
"""

from collections.abc import Sequence

import numpy as np

from fmtutor.bench.few_shot_tasks import KNOWN_PAPER
from fmtutor.data.few_shot_splits import draw_support, published_split, published_structures
from fmtutor.data.totalsegmentator_v1 import IDS
from tests.data_scripts.look_alikes import META, nifti, packed_zip

SHAPE, SPACING_MM = (44, 32, 40), 1.5
LPS = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
TOP = "Totalsegmentator_dataset/"
DAMAGED = "s0864"
RADIUS_VOX = 5.0
LISTED = {
    scan
    for name in published_structures("totalsegmentator")
    for split in [published_split(name, "totalsegmentator")]
    for scan in (*split.pool, *split.test)
}
"""Scans of any few-shot list."""


def teachers(count: int) -> tuple[str, ...]:
    """Return the first scans that no few-shot list names."""
    names = (f"s{number:04d}" for number in range(1, 1000))
    return tuple(name for name in names if name not in LISTED)[:count]


def scans_of(structure: str, *, shots: int, seed: int) -> tuple[str, ...]:
    """Return the support of a seed and the tests of a structure."""
    split = published_split(structure, "totalsegmentator")
    drawn = draw_support(len(split.pool), shots, seed).support
    return (*(split.pool[place] for place in drawn), *split.test)


def torso(scan: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return an image (H, W, D) in HU and the organs' masks, in RAS; each scan is another one."""
    rng = np.random.default_rng(int(scan[1:]))
    at = np.indices(SHAPE).astype(float)
    middle = np.array([(side - 1) / 2 for side in SHAPE])[:, None, None, None]
    body = (((at - middle) / (0.48 * np.array(SHAPE))[:, None, None, None])[:2] ** 2).sum(0) < 1
    image = np.where(body, 0.0, -1000.0)
    masks = {}
    for number, name in enumerate(KNOWN_PAPER):
        place = np.array([10 + 12 * (number % 3), 16, 8 + 12 * (number // 3)])
        place = place + rng.uniform(-1.5, 1.5, 3)
        masks[name] = np.linalg.norm(at - place[:, None, None, None], axis=0) < RADIUS_VOX
        image[masks[name]] = 40 + 20 * number
    return (image + rng.normal(0, 8, SHAPE)).astype(np.int16), masks


def archive(scans: Sequence[str], *, damaged: bool = True) -> bytes:
    """Return the zip archive of the release, with these scans alone and a damaged one."""
    files, rows = {}, META
    empty = nifti(np.zeros(SHAPE, np.uint8), affine=LPS)
    for number, scan in enumerate(scans):
        image, masks = torso(scan)
        files[f"{TOP}{scan}/ct.nii.gz"] = nifti(image, affine=LPS)
        for name in IDS:
            drawn = masks.get(name)
            content = empty if drawn is None else nifti(drawn.astype(np.uint8), affine=LPS)
            files[f"{TOP}{scan}/segmentations/{name}.nii.gz"] = content
        part = "test" if scan in LISTED and number % 4 == 3 else "train"
        rows += f"{scan};60;m;A;ct abdomen;{part}\n"
    if damaged:
        files[f"{TOP}{DAMAGED}/ct.nii.gz"] = nifti(torso(DAMAGED)[0], affine=LPS)[:-12]
        rows += f"{DAMAGED};60;m;A;ct abdomen;train\n"
    return packed_zip({**files, f"{TOP}meta.csv": rows.encode()})
