"""Heads of pretext tasks: what is asked of the deepest stage of an encoder without any label."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

HALVINGS = 5
"""Doublings from the deepest stage back to the voxels: a stride of 2^5 = 32."""


class TokenHead(nn.Module):
    """A linear map of one token.

    Every token of the deepest stage has seen its whole attention window, so one of them can answer
    for the crop: token 0 says how the crop was turned, token 1 stands for it in the contrast.

    Args:
        features: Features of a token.
        outputs: Numbers to answer with.
        token: Which token answers, counted along D first, then W, then H.
    """

    def __init__(self, features: int, outputs: int, *, token: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, outputs)
        self.token = token

    def forward(self, deepest: Float[Tensor, "B E h w d"]) -> Float[Tensor, "B outputs"]:
        """Return the answer of each sample.

        Raises:
            ValueError: There are too few tokens.
        """
        tokens = rearrange(deepest, "b e h w d -> b (h w d) e")
        if tokens.shape[1] <= self.token:
            raise ValueError(
                f"this head reads token {self.token}, but the deepest stage has {tokens.shape[1]} "
                "of them; take a larger patch."
            )
        return self.linear(tokens[:, self.token])


class ReconstructionHead(nn.Sequential):
    """The crop again from its deepest features alone: there are no skip connections to copy from.

    Five times a convolution, instance norm, LeakyReLU and trilinear doubling, with a half, a
    quarter, an eighth, a sixteenth and a sixteenth of the features, then one channel. (The released
    code calls this form "vae".)

    Args:
        features: Features of a token; a multiple of 16.
    """

    def __init__(self, features: int) -> None:
        layers: list[nn.Module] = []
        inputs = features
        for level in range(1, HALVINGS + 1):
            outputs = features // 2 ** min(level, HALVINGS - 1)
            layers += [
                nn.Conv3d(inputs, outputs, 3, padding=1),
                nn.InstanceNorm3d(outputs),
                nn.LeakyReLU(),
                nn.Upsample(scale_factor=2, mode="trilinear"),
            ]
            inputs = outputs
        super().__init__(*layers, nn.Conv3d(inputs, 1, 1))

    def forward(self, deepest: Float[Tensor, "B E h w d"]) -> Float[Tensor, "B 1 H W D"]:
        """Return one channel at 32 times the resolution."""
        return super().forward(deepest)
