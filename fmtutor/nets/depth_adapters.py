"""MA-SAM's adapters: slices of a stack look at their neighbours, and nowhere else.

A 2D encoder sees each slice by itself. Two of these modules in each block, before the attention and
before the perceptron, mix the features of one place along the slices of a stack,

    x  <-  x + up(gelu(conv_depth(down(norm(x)))))

Source: Chen et al., "MA-SAM: Modality-agnostic SAM Adaptation for 3D Medical Image Segmentation",
2023, section 3.2.
"""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.vit import Block, ImageEncoder


class DepthAdapter(nn.Module):
    """Mix features along the slices of a stack, with a residual.

    As published ``up`` is not zero at the start: the adapters change the encoder before the first
    step.

    Args:
        features: Features of a token (E).
        inner: Features inside; 384 in MA-SAM.
        slices: Slices of a stack; stacks stand one after the other along the batch.
    """

    def __init__(self, features: int, inner: int, *, slices: int) -> None:
        super().__init__()
        self.slices = slices
        self.norm = nn.LayerNorm(features, eps=1e-6)
        self.down = nn.Linear(features, inner, bias=False)
        self.along = nn.Conv1d(inner, inner, 3, padding=1)
        self.up = nn.Linear(inner, features, bias=False)

    def forward(self, x: Float[Tensor, "BD h w E"]) -> Float[Tensor, "BD h w E"]:
        """Return the tokens after the mixing.

        Raises:
            ValueError: The slices do not make whole stacks.
        """
        if len(x) % self.slices:
            raise ValueError(
                f"stacks have {self.slices} slices, got {len(x)} slices; give whole stacks."
            )
        inner = self.down(self.norm(x))
        stacks = inner.unflatten(0, (-1, self.slices))  # (B, D, h, w, inner)
        columns = stacks.permute(0, 2, 3, 4, 1)  # (B, h, w, inner, D)
        mixed = self.along(columns.flatten(0, 2)).unflatten(0, columns.shape[:3])
        mixed = mixed.permute(0, 4, 1, 2, 3).flatten(0, 1)
        return x + self.up(functional.gelu(mixed))


def add_depth_adapters(encoder: ImageEncoder, inner: int, *, slices: int) -> list[DepthAdapter]:
    """Put two adapters into every block of an image encoder, and return them.

    Raises:
        ValueError: A block holds adapters already.
    """
    adapters = []
    for number, module in enumerate(encoder.blocks):
        block = cast(Block, module)
        if not (isinstance(block.start, nn.Identity) and isinstance(block.middle, nn.Identity)):
            raise ValueError(f"block {number} has adapters already; build a new encoder.")
        features = block.norm1.normalized_shape[0]
        block.start = DepthAdapter(features, inner, slices=slices)
        block.middle = DepthAdapter(features, inner, slices=slices)
        adapters += [block.start, block.middle]
    return adapters
