"""What an example of `fmtutor.core.ask.Support` must be; each error says the way out."""

import numpy as np


def support_image(image: np.ndarray, at: int) -> np.ndarray:
    """Return an example's image as float32, after checking what can be checked without a mask."""
    image = np.asarray(image, dtype=np.float32)
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(
            f"a support image is 2D (H, W) or 3D (H, W, D), got shape {image.shape} for image "
            f"{at}; drop its batch and channel axes, or convert colours to grey."
        )
    if bad := int((~np.isfinite(image)).sum()):
        raise ValueError(
            f"a support image must be finite, got {bad} NaN or infinite values in image {at}; "
            "replace them (np.nan_to_num) or leave the pair out."
        )
    if image.min() == image.max():
        raise ValueError(
            f"a support image must show something, got {image.flat[0]:g} everywhere in image "
            f"{at}; leave the pair out, or check how it was read."
        )
    return image


def support_mask(mask: np.ndarray, at: int) -> np.ndarray:
    """Return an example's mask as bool, after checking that it is binary."""
    mask = np.asarray(mask)
    if mask.dtype == bool:
        return mask
    if bad := int((~np.isfinite(mask)).sum()):
        raise ValueError(
            f"a support mask must be finite, got {bad} NaN or infinite values in mask {at}; "
            "save it again as 0 and 1."
        )
    values = np.unique(mask)
    if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
        shown = ", ".join(f"{value:g}" for value in values[:6]) + ", ..." * (len(values) > 6)
        raise ValueError(
            f"a support mask holds 0 and 1 (or 0 and 255), got values {shown} in mask {at}; "
            "pick one structure (mask == value) or threshold it (mask > 0.5)."
        )
    return mask > 0


def check_pairs(images: tuple[np.ndarray, ...], masks: tuple[np.ndarray, ...]) -> None:
    """Check that the examples' sizes agree and that one shows the structure."""
    for at, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if image.shape != mask.shape:
            raise ValueError(
                f"a support mask is as large as its image, got {image.shape} and {mask.shape} in "
                f"pair {at}; bring the mask onto the image's grid (nearest neighbour)."
            )
    if len(dimensions := sorted({image.ndim for image in images})) > 1:
        raise ValueError(
            f"support pairs are all 2D or all 3D, got {dimensions} dimensions; cut the volumes "
            "into slices, or ask two questions."
        )
    if not any(mask.any() for mask in masks):
        raise ValueError(
            f"a support shows the structure in at least one mask, got {len(masks)} masks that "
            "are all empty; add an example that has it, or check the label that was picked."
        )


def check_spacings(
    images: tuple[np.ndarray, ...], spacings_mm: tuple[tuple[float, ...], ...] | None
) -> None:
    """Check that each example's spacing is one positive length an axis."""
    if spacings_mm is None:
        return
    wanted = [image.ndim for image in images]
    if [len(edges) for edges in spacings_mm] != wanted or not all(
        0 < edge < float("inf") for edges in spacings_mm for edge in edges
    ):
        raise ValueError(
            f"spacings_mm hold one positive length in mm for each axis of {len(images)} images, "
            f"got {spacings_mm}; leave them out where pixels are square."
        )
