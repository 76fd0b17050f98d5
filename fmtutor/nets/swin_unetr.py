"""Swin UNETR as a backbone: MONAI's network without its output layer, under its own names.

The transformer sees the image in windows of 7^3 tokens; every level of it is refined by a residual
convolution block and handed to a convolutional decoder. Published weights (the self-supervised
encoder, CLIP-Driven, SuPreM, FSEFT) were trained with MONAI's *first* patch merging, which takes
two of the eight neighbours twice and two not at all. MONAI has since corrected its "merging", so
the old order is written out here as "legacy": weights load into either, but only "legacy" gives
the features that they were trained with.

Source: Hatamizadeh et al. 2022; Tang et al., CVPR 2022. Base network: MONAI (Apache-2.0).
"""

import torch
from jaxtyping import Float
from monai.networks.nets.swin_unetr import PatchMergingV2, SwinUNETR
from torch import Tensor, nn
from torch.nn import functional

LEGACY_NEIGHBOURS = (
    (0, 0, 0),
    (1, 0, 0),
    (0, 1, 0),
    (0, 0, 1),
    (1, 0, 1),
    (0, 1, 0),
    (0, 0, 1),
    (1, 1, 1),
)
"""Offsets that the first patch merging concatenates: 010 and 001 twice, 110 and 011 never."""


class LegacyPatchMerging(PatchMergingV2):
    """Patch merging with the neighbours that published weights were trained on."""

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, D, C) as in MONAI's transformer
        odd = [side % 2 for side in x.shape[1:4]]
        if any(odd):
            x = functional.pad(x, (0, 0, 0, odd[2], 0, odd[1], 0, odd[0]))
        parts = [x[:, i::2, j::2, k::2] for i, j, k in LEGACY_NEIGHBOURS]
        return self.reduction(self.norm(torch.cat(parts, -1)))


MERGINGS = {"legacy": LegacyPatchMerging, "merging": "merging", "mergingv2": "mergingv2"}
"""Patch mergings by name."""


class SwinUnetr(nn.Module):
    """Swin UNETR; ``forward`` gives ``feature_size`` features at input resolution.

    Args:
        in_channels: Channels of the image.
        feature_size: 48 in every published checkpoint (62.19 M parameters); a multiple of 12.
        merging: One of `MERGINGS`.
        depths: Transformer blocks per stage.
        window: Tokens along each side of an attention window; 7 in every published checkpoint.
        checkpointing: Compute the transformer again in the backward pass, to save memory.

    Raises:
        ValueError: The merging is not known.
    """

    encoder_names = ("swinViT", "encoder1", "encoder2", "encoder3", "encoder4", "encoder10")
    """Children that make the encoder."""
    decoder_names = ("decoder5", "decoder4", "decoder3", "decoder2", "decoder1")
    """Children that make the decoder, deep to shallow."""

    def __init__(
        self,
        in_channels: int = 1,
        *,
        feature_size: int = 48,
        merging: str = "legacy",
        depths: tuple[int, int, int, int] = (2, 2, 2, 2),
        window: int = 7,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if merging not in MERGINGS:
            raise ValueError(f"merging must be one of {tuple(MERGINGS)}, not {merging!r}.")
        whole = SwinUNETR(
            in_channels,
            1,
            feature_size=feature_size,
            depths=depths,
            window_size=window,
            downsample=MERGINGS[merging],
            use_checkpoint=checkpointing,
        )
        for name in (*self.encoder_names, *self.decoder_names):
            self.add_module(name, getattr(whole, name))
        self.out_channels, self.bottleneck_channels = feature_size, 16 * feature_size
        self.divisor = (32, 32, 32)

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return features at strides 1, 2, 4, 8, 16, 32, shallow to deep."""
        if any(side % 32 for side in image.shape[2:]):
            raise ValueError(
                f"image sides must be multiples of {self.divisor}, not {tuple(image.shape[2:])}; "
                "pad the patch."
            )
        tokens = self.swinViT(image, True)
        refined = (
            self.encoder2(tokens[0]),
            self.encoder3(tokens[1]),
            self.encoder4(tokens[2]),
        )
        return [self.encoder1(image), *refined, tokens[3], self.encoder10(tokens[4])]

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """Return decoded features, input resolution first."""
        decoded: list[Tensor] = []
        x = features[-1]
        for name, skipped in zip(self.decoder_names, features[-2::-1], strict=True):
            x = getattr(self, name)(x, skipped)
            decoded.insert(0, x)
        return decoded

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution."""
        return self.decode(self.encode(image))[0]


def small_swin_unetr(in_channels: int = 1, *, feature_size: int = 12) -> SwinUnetr:
    """Return a Swin UNETR for coarse grids: windows of 4^3 tokens in place of 7^3.

    At 5 mm a patch has 16 tokens a side. Windows of 7 pad them to 21, and attention within 343
    tokens then costs most of the network; windows of 4 fit, and take a fifth of it.

    Args:
        in_channels: Channels of the image.
        feature_size: A multiple of 12.
    """
    return SwinUnetr(in_channels, feature_size=feature_size, window=4)
