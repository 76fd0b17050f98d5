"""The published SAMs: SAM ViT-B, MedSAM, SAM-Med2D and SAM-Med3D, and how they spell our names.

They share one spelling; most beginnings that differ are one tensor's.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from fmtutor.hub.entry import Names, Published
from fmtutor.hub.stand_ins import NUMPY_SCALARS, OPTIMIZERS
from fmtutor.nets.sam import Sam, Shape
from fmtutor.nets.sam_adapters import add_gated_adapters
from fmtutor.nets.sam_shapes import medsam, sam_med2d, sam_med3d, vit_b

AXES = {2: ("h", "w"), 3: ("d", "h", "w")}
"""What their tables of relative positions are called, by the axes of the image."""


def sam_names(dims: int, *, depth: int = 12, adapters: str = "") -> Names:
    """Return the spelling of a `fmtutor.nets.sam.Sam`.

    Args:
        dims: Axes of the image.
        depth: Blocks of the image encoder.
        adapters: What the file calls the module beside each perceptron; empty for none.
    """
    names = [("image_encoder.patch_embed.", "image_encoder.patch_embed.proj.")]
    for block in (f"image_encoder.blocks.{number}." for number in range(depth)):
        for number, axis in enumerate(AXES[dims]):
            names.append((f"{block}attn.relative.{number}", f"{block}attn.rel_pos_{axis}"))
        if adapters:
            names.append((f"{block}beside.", f"{block}{adapters}."))
    return (*names, *_prompt_encoder(), *_mask_decoder())


def _prompt_encoder() -> Names:
    matrix = "pe_layer.positional_encoding_gaussian_matrix"
    pairs = {
        "place.matrix": matrix,
        **{f"kinds.{number}": f"point_embeddings.{number}.weight" for number in range(4)},
        "no_point": "not_a_point_embed.weight",
        "no_mask": "no_mask_embed.weight",
        "mask.": "mask_downscaling.",
    }
    return tuple((f"prompt_encoder.{ours}", f"prompt_encoder.{its}") for ours, its in pairs.items())


def _mask_decoder() -> Names:
    pairs = {
        "iou_token": "iou_token.weight",
        "mask_tokens": "mask_tokens.weight",
        "up1.": "output_upscaling.0.",
        "norm.": "output_upscaling.1.",
        "up2.": "output_upscaling.3.",
        "hyper.": "output_hypernetworks_mlps.",
        "iou_head.": "iou_prediction_head.",
    }
    return tuple((f"mask_decoder.{ours}", f"mask_decoder.{its}") for ours, its in pairs.items())


def _sam(shape: Callable[[], Shape]) -> nn.Module:
    return Sam(shape())


def _sam_med2d() -> nn.Module:
    model = Sam(sam_med2d())
    add_gated_adapters(model.image_encoder)
    return model


SAM_LAYOUTS: dict[str, Published] = {
    "sam-vit-b": Published(
        build=partial(_sam, vit_b),
        what="SAM ViT-B: points, boxes and masks on 1024x1024 pictures",
        file="sam_vit_b_01ec64.pth",
        source="https://github.com/facebookresearch/segment-anything",
        licence="Apache-2.0",
        names=sam_names(2),
    ),
    "medsam": Published(
        build=partial(_sam, medsam),
        what="MedSAM: SAM ViT-B trained with boxes on medical images",
        file="medsam_vit_b.pth",
        source="https://github.com/bowang-lab/MedSAM",
        licence="Apache-2.0",
        names=sam_names(2),
    ),
    "sam-med2d": Published(
        build=_sam_med2d,
        what="SAM-Med2D: SAM ViT-B with adapters on 256x256 medical images",
        file="sam-med2d_b.pth",
        source="https://github.com/OpenGVLab/SAM-Med2D",
        licence="Apache-2.0",
        names=sam_names(2, adapters="Adapter"),
        skipped=OPTIMIZERS,
    ),
    "sam-med3d": Published(
        build=partial(_sam, sam_med3d),
        what="SAM-Med3D, turbo too: points and masks on 128x128x128 volumes",
        file="sam_med3d_turbo.pth",
        source="https://github.com/uni-medical/SAM-Med3D",
        licence="Apache-2.0",
        names=sam_names(3),
        skipped=("argparse.Namespace", *NUMPY_SCALARS),
    ),
}
"""Published checkpoints by name; SAM-Med3D and its turbo file share a layout."""
