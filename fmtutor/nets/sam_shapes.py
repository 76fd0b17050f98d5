"""The shapes of the published SAMs, so that paradigms and weight files build the same network.

Sources: Kirillov et al., "Segment Anything", ICCV 2023 (ViT-B); Ma et al., "Segment anything in
medical images", Nature Communications 2024 (MedSAM); Cheng et al., "SAM-Med2D", 2023; Wang et al.,
"SAM-Med3D", 2023. What goes beyond the papers is in their released code.
"""

from dataclasses import replace

from fmtutor.nets.sam import Shape


def vit_b() -> Shape:
    """Return SAM ViT-B: 1024 x 1024 pixels, 64 x 64 tokens, windows of 14."""
    return Shape(
        image=(1024, 1024),
        patch=16,
        in_channels=3,
        features=768,
        depth=12,
        heads=12,
        window=14,
        global_blocks=(2, 5, 8, 11),
        prompt_features=256,
        decoder_hidden=2048,
        quality_hidden=256,
        point_axes=(1, 0),
        dense_axes=(1, 0),
        intensity="sam",
    )


def medsam() -> Shape:
    """Return MedSAM: SAM ViT-B that sees the image in [0, 1] as it is."""
    return replace(vit_b(), intensity="unit")


def sam_med2d() -> Shape:
    """Return SAM-Med2D: SAM ViT-B at 256 x 256 pixels, 16 x 16 tokens.

    Its adapters are put in by `fmtutor.nets.sam_adapters.add_gated_adapters`.
    """
    return replace(vit_b(), image=(256, 256))


def sam_med3d() -> Shape:
    """Return SAM-Med3D: 128^3 voxels, 8^3 tokens.

    Its weights need what its code does: relative positions by query and key row, a third wave
    that repeats the first, and clicks whose first two axes are not those of the tokens.
    """
    return Shape(
        image=(128, 128, 128),
        patch=16,
        in_channels=1,
        features=768,
        depth=12,
        heads=12,
        window=14,
        global_blocks=(2, 5, 8, 11),
        prompt_features=384,
        decoder_hidden=2048,
        quality_hidden=256,
        boxes=False,
        positions="sammed3d",
        waves=("sin", "cos", "sin"),
        point_axes=(0, 1, 2),
        dense_axes=(1, 0, 2),
        intensity="zscore",
    )
