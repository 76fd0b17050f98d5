"""The transformer of Swin UNETR alone, under the names that it has in the whole network.

Self-supervised pre-training has no use for the decoder: it reads the deepest stage. What it learns
goes into `fmtutor.nets.swin_unetr.SwinUnetr` tensor by tensor, so the names are kept.
"""

from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.nets.swin_unetr import SwinUnetr

STRIDE = 32
"""Voxels along each side of a token of the deepest stage."""


class SwinEncoder(nn.Module):
    """Image to the deepest stage: 16 * ``feature_size`` features for each block of 32^3 voxels.

    Args:
        feature_size: 48 in every published checkpoint; a multiple of 12.
        window: Tokens along each side of an attention window; 7 in every published checkpoint.
        merging: One of `fmtutor.nets.swin_unetr.MERGINGS`.
        depths: Transformer blocks per stage.
        checkpointing: Compute the blocks again in the backward pass, to save memory.
    """

    def __init__(
        self,
        feature_size: int = 48,
        *,
        window: int = 7,
        merging: str = "legacy",
        depths: tuple[int, int, int, int] = (2, 2, 2, 2),
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        whole = SwinUnetr(
            feature_size=feature_size,
            window=window,
            merging=merging,
            depths=depths,
            checkpointing=checkpointing,
        )
        self.swinViT = whole.swinViT
        self.out_channels, self.divisor = whole.bottleneck_channels, whole.divisor

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E h w d"]:
        """Return the features at stride 32, normalised over the features of each token."""
        if any(side % STRIDE for side in image.shape[2:]):
            raise ValueError(
                f"image sides must be multiples of {STRIDE}, not {tuple(image.shape[2:])}; "
                "pad the patch."
            )
        return self.swinViT(image, True)[-1]
