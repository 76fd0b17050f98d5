"""Published checkpoints as data: what each builds here, and what its authors call our tensors.

An entry (`fmtutor.hub.entry.Published`) says how our names read in the file. From that alone the
loader knows every tensor that a file must hold, so that one comparison of names and shapes decides.
"""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from fmtutor.core.tables import lookup
from fmtutor.hub.entry import Names, Published, Slot, slots
from fmtutor.hub.sam_layouts import SAM_LAYOUTS
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.resnet3d import DEPTHS, ResNetEncoder

COUNTER = ".num_batches_tracked"
"""A batch norm's step counter: files from before torch 0.4.1 lack it, and no output needs it."""

NC_ND = "CC BY-NC-ND 4.0"
CLIP_DRIVEN = "https://huggingface.co/ljwztc/CLIP-Driven-Universal-Model"
SUPREM = "https://huggingface.co/MrGiovanni/SuPreM"


@cache
def slots_of(name: str, *, converted: bool = False) -> dict[str, Slot]:
    """Return `slots` of a published checkpoint, from a module without values where that is built.

    Args:
        name: One of `PUBLISHED`.
        converted: Of the file that `fmtutor.hub.convert` makes, under our names.

    Raises:
        ValueError: There is no such name.
    """
    entry = lookup(PUBLISHED, name, "published checkpoint")
    try:
        with torch.device("meta"):
            module = entry.build()
    except (RuntimeError, NotImplementedError):  # MONAI's Swin UNETR reads numbers as it is built
        module = entry.build()
    return slots(replace(entry, names=(), unit_axes=()) if converted else entry, module)


def _medicalnet(depth: int) -> Published:
    return Published(
        build=partial(ResNetEncoder, depth),
        what=f"Med3D: ResNet-{depth} encoder, 8 or 23 datasets",
        file=f"resnet_{depth}_23dataset.pth",
        source="https://github.com/Tencent/MedicalNet",
        licence="MIT",
        dropped=("conv_seg.",),
    )


def _swin_encoder() -> nn.Module:
    from fmtutor.nets.swin_encoder import SwinEncoder

    return SwinEncoder()


def _fseft() -> nn.Module:
    from fmtutor.paradigms.partial import fseft

    return fseft.build(fseft.Config.paper())


def _suprem_segresnet() -> nn.Module:
    from fmtutor.paradigms.partial import suprem

    return suprem.build(suprem.Config.paper())


def _clip_driven(**changes: Any) -> nn.Module:
    from fmtutor.paradigms.partial import clip_driven

    return clip_driven.build(clip_driven.Config.paper(**changes))


def _universeg() -> nn.Module:
    from fmtutor.paradigms.incontext import universeg

    return universeg.build(universeg.Config.gpu())


def _tyche() -> nn.Module:
    from fmtutor.paradigms.incontext import tyche

    return tyche.build(tyche.Config.paper())


def _cross_blocks(*extra: tuple[str, str]) -> Names:
    """Return the spelling of a U-Net of cross blocks; ``extra`` are further parts of a block."""
    parts = (
        ("cross", "cross.cross_conv"),
        ("target", "target.vmapped.conv"),
        ("support", "support.vmapped.conv"),
        *extra,
    )
    blocks = [("encoder", "enc_blocks", 4), ("decoder", "dec_blocks", 3)]
    names = [
        (f"{ours}.{index}.{part}.", f"{theirs}.{index}.{spelt}.")
        for ours, theirs, count in blocks
        for index in range(count)
        for part, spelt in parts
    ]
    return (*names, ("head.", "out_conv.conv."))


def _swin_blocks() -> Names:
    """Return the spelling of the transformer of Swin UNETR, whose perceptrons it calls ``fc``."""
    perceptrons = [
        (f"layers{stage}.0.blocks.{block}.mlp", number)
        for stage in range(1, 5)
        for block in range(2)
        for number in (1, 2)
    ]
    names = [(f"swinViT.{mlp}.linear{n}.", f"{mlp}.fc{n}.") for mlp, n in perceptrons]
    return (*names, ("swinViT.", ""))


def _text_driven(backbone: str, *, what: str, file: str, source: str) -> Published:
    """Return an entry for CLIP-Driven's system, whose layout SuPreM shares."""
    changes = {} if backbone == "swin_unetr" else {"backbone": backbone, "channels": (64,)}
    return Published(
        build=partial(_clip_driven, **changes),
        what=what,
        file=file,
        source=source,
        licence=NC_ND,
        names=(
            ("reduce.", "precls_conv."),
            ("pool.", "GAP."),
            ("embedding", "organ_embedding"),
            ("backbone.", ""),
        ),
        unit_axes=("controller.weight",),
        classes="organ_embedding",
    )


PUBLISHED: dict[str, Published] = {
    "clip-driven-swin": _text_driven(
        "swin_unetr",
        what="CLIP-Driven Universal Model: Swin UNETR, 32 classes by text",
        file="clip_driven_universal_swin_unetr.pth",
        source=CLIP_DRIVEN,
    ),
    "clip-driven-unet": _text_driven(
        "genesis_unet",
        what="CLIP-Driven Universal Model: U-Net, 32 classes by text",
        file="clip_driven_universal_unet.pth",
        source=CLIP_DRIVEN,
    ),
    "suprem-swin": _text_driven(
        "swin_unetr",
        what="SuPreM: Swin UNETR, CLIP-Driven's head and 32 classes",
        file="supervised_suprem_swinunetr_2100.pth",
        source=SUPREM,
    ),
    "suprem-unet": _text_driven(
        "genesis_unet",
        what="SuPreM: U-Net, CLIP-Driven's head and 32 classes",
        file="supervised_suprem_unet_2100.pth",
        source=SUPREM,
    ),
    "suprem-segresnet": Published(
        build=_suprem_segresnet,
        what="SuPreM: SegResNet, 25 plain outputs in the order of AbdomenAtlas 1.1",
        file="supervised_suprem_segresnet_2100.pth",
        source=SUPREM,
        licence=NC_ND,
        names=(("classifier.", "conv_final.2.conv."), ("backbone.", "")),
        classes="conv_final.2.conv.weight",
    ),
    "fseft-swin": Published(
        build=_fseft,
        what="FSEFT: Swin UNETR, 29 plain outputs",
        file="fseft.pth",
        source="https://github.com/jusiro/fewshot-finetuning",
        licence="none stated",
        names=(("backbone.", ""),),
        classes="classifier.weight",
    ),
    "swin-unetr-ssl": Published(
        build=_swin_encoder,
        what="Swin UNETR's encoder, self-supervised on 5,050 CT",
        file="model_swinvit.pt",
        source="https://github.com/Project-MONAI/MONAI-extra-test-data/releases/tag/0.8.1",
        licence="Apache-2.0",
        names=_swin_blocks(),
        dropped=("norm.", "rotation_head.", "contrastive_head.", "convTrans3d.", "conv."),
    ),
    "models-genesis": Published(
        build=GenesisUNet,
        what="Models Genesis: U-Net that restores chest CT, without its last layer",
        file="Genesis_Chest_CT.pt",
        source="https://github.com/MrGiovanni/ModelsGenesis",
        licence="ASU, non-commercial research",
        dropped=("out_tr.final_conv.",),
    ),
    "universeg-v1": Published(
        build=_universeg,
        what="UniverSeg v1: 2D in-context segmentation of 128x128 slices, any support",
        file="universeg_v1_nf64_ss64_STA.pt",
        source="https://github.com/JJGO/UniverSeg",
        licence="OpenRAIL++-M, research only",
        names=_cross_blocks(),
    ),
    "tyche-ts": Published(
        build=_tyche,
        what="Tyche-TS: several candidate masks per 128x128 slice, any support",
        file="tyche_v1_model_weights_CVPR.pt",
        source="https://github.com/mariannerakic/Tyche",
        licence="Apache-2.0",
        names=_cross_blocks(("mix", "meanconv.vmapped.conv")),
    ),
    **SAM_LAYOUTS,
    **{f"medicalnet-{depth}": _medicalnet(depth) for depth in DEPTHS},
}
"""Published checkpoints by name; MedicalNet's 8- and 23-dataset files share a layout."""
