"""The sizes that systems adapted from a general SAM share with it, so that its weights fit."""

from fmtutor.nets.sam import Shape

SMALL = Shape(
    image=(128, 128), patch=8, features=128, depth=6, heads=4, window=8, global_blocks=(2, 5),
    prompt_features=96, decoder_heads=2, decoder_hidden=256, drawn=2.0,
)  # fmt: skip
"""The quick size, a hundredth of ViT-B: 128 pixels, 256 tokens."""
TINY = Shape(
    image=(16, 16), patch=4, features=32, depth=2, heads=2, window=2, global_blocks=(1,),
    prompt_features=64, decoder_heads=2, decoder_hidden=32, quality_hidden=16, drawn=2.0,
)  # fmt: skip
"""The size of the contract tests."""
