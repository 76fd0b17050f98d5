"""U-Nets for few cores: the layout of `fmtutor.nets.unet3d` with its dear parts left out."""

from collections.abc import Sequence

from fmtutor.nets.unet3d import Stride, UNet3d


def lean_unet3d(
    in_channels: int,
    channels: Sequence[int] = (16, 32, 64, 128, 192),
    *,
    prompt_channels: int = 0,
) -> UNet3d:
    """Return a U-Net for few cores: one full-resolution convolution, added skips, resized features.

    Full-resolution convolutions take most of a step's time, and a concatenated skip doubles the
    largest of them. The last level keeps D, so that a patch of 24 slices has 5 levels.
    """
    depth = len(channels)
    strides: list[Stride] = [1, *[2] * (depth - 2), (2, 2, 1)]
    convs = (1, *[2] * (depth - 1))
    return UNet3d(
        in_channels,
        channels,
        strides=strides,
        convs_per_level=convs,
        up="trilinear",
        skip="add",
        prompt_channels=prompt_channels,
    )


def half_unet3d(
    in_channels: int, channels: Sequence[int] = (24, 48, 96, 128), *, prompt_channels: int = 0
) -> UNet3d:
    """Return a U-Net that works at half resolution and resizes its last features to the input's.

    Cheaper per voxel and wider than a full-resolution one; borders are as sharp as linear
    interpolation between features two voxels apart allows.
    """
    strides: list[Stride] = [*[2] * (len(channels) - 1), (2, 2, 1)]
    return UNet3d(
        in_channels,
        channels,
        strides=strides,
        up="trilinear",
        skip="add",
        prompt_channels=prompt_channels,
    )
