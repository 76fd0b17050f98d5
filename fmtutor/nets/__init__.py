"""Networks: backbones with an encoder and a decoder, heads, norms, and what is trainable.

Every backbone is ``forward(image) -> features (B, E, H, W, D)`` at input resolution, with
``out_channels`` (E), ``bottleneck_channels``, ``divisor`` (its input's sides must be multiples of
it) and ``encode(image) -> features, shallow to deep``. What is predicted from the features is the
affair of a head.

A backbone is imported when it is asked for: two rest on MONAI, which takes seconds to import.
"""

BACKBONES: dict[str, str] = {
    "unet3d": "fmtutor.nets.unet3d:UNet3d",
    "lean_unet3d": "fmtutor.nets.cheap_unets:lean_unet3d",
    "half_unet3d": "fmtutor.nets.cheap_unets:half_unet3d",
    "genesis_unet": "fmtutor.nets.genesis_unet:GenesisUNet",
    "residual_unet": "fmtutor.nets.residual_unet:ResidualUNet",
    "resnet3d": "fmtutor.nets.resnet3d:ResNet3d",
    "segresnet": "fmtutor.nets.segresnet:SegResNet",
    "swin_unetr": "fmtutor.nets.swin_unetr:SwinUnetr",
    "small_swin_unetr": "fmtutor.nets.swin_unetr:small_swin_unetr",
}
"""Name of a backbone to what builds it from plain keyword arguments (`fmtutor.nets.build`)."""
