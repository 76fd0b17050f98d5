"""Intensities as every network here sees them."""

from dataclasses import replace

import numpy as np

from fmtutor.data.cases import Case

HU_WINDOW = (-175.0, 250.0)
"""The soft-tissue window of CLIP-Driven, SuPreM and FSEFT, in HU."""


def normalise(image: np.ndarray, modality: str) -> np.ndarray:
    """Return the image scaled to [0, 1].

    CT is clipped to `HU_WINDOW`; MR has no absolute scale, so 0 stays 0 and the 99th percentile
    of the voxels brighter than the mean (the body) becomes 1.

    Args:
        image: HU for CT, raw intensities for MR, any shape.
        modality: "CT" or "MR".

    Raises:
        ValueError: Another modality.
    """
    if modality == "CT":
        low, high = HU_WINDOW
    elif modality == "MR":
        body = image[image > image.mean()]
        low, high = 0.0, float(np.percentile(body, 99) if body.size else image.max())
    else:
        raise ValueError(
            f"modality must be 'CT' or 'MR', got {modality!r}; set it when reading the file."
        )
    scaled = (image.astype(np.float32) - low) / max(high - low, 1e-6)
    return np.clip(scaled, 0.0, 1.0)


def normalised(case: Case) -> Case:
    """Return the case with its image scaled by `normalise`."""
    return replace(case, image=normalise(case.image, case.modality))
