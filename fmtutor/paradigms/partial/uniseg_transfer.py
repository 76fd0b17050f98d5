"""What a trained UniSeg is good for next: its prompts, one task more, its backbone.

Taught in: 04
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.nets.unet3d import UNet3d
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.task_loss import shared_outputs
from fmtutor.paradigms.partial.uniseg import UniSeg, build, unet


def task_prompts(model: UniSeg, image: Float[Tensor, "1 1 H W D"]) -> Float[Tensor, "T h w d"]:
    """Return the prompt of every task for one normalised image of the patch's size."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        prompts = model.encode(image)[1][0]
    model.train(was_training)
    return prompts


def add_task(
    model: UniSeg, classes: Sequence[str], *, exclusive: bool = True
) -> tuple[UniSeg, int]:
    """Return a copy with one task more, and how many parameters it adds.

    The prompt and FUSE's first and last layer get a channel (and the heads, where the task has more
    classes than any before). FUSE starts blind to the new prompt channel, so what the old tasks
    answer does not change; train the copy from there.

    Args:
        model: A trained network; it is left as it is.
        classes: Channels of the new task, "dataset/region".
        exclusive: Whether its regions exclude each other.
    """
    old = config_of(model)
    tasks = (*old.tasks, tuple(classes))
    config = replace(
        old,
        tasks=tasks,
        outputs=shared_outputs(tasks, old.outputs),
        exclusive=(*old.exclusive, exclusive),
        fuse_width=model.prompt.fuse[0].conv.out_channels,
    )
    wider = build(config).to(model.prompt.volume.device)
    _copy_common(model, wider)
    with torch.no_grad():
        wider.prompt.fuse[0].conv.weight[:, -1] = 0
    after, before = (sum(p.numel() for p in m.parameters()) for m in (wider, model))
    return wider, after - before


def backbone_of(model: UniSeg) -> UNet3d:
    """Return the U-Net for another use, as published: without prompt, FUSE and its channel."""
    plain = unet(config_of(model), prompt_channels=0).to(model.prompt.volume.device)
    _copy_common(model.backbone, plain)
    return plain


def _copy_common(source: nn.Module, target: nn.Module) -> None:
    """Copy each tensor of equal name, as far along every axis as both reach."""
    theirs = source.state_dict()
    with torch.no_grad():
        for name, tensor in target.state_dict().items():
            both = zip(tensor.shape, theirs[name].shape, strict=True)
            corner = tuple(slice(min(pair)) for pair in both)
            tensor[corner] = theirs[name][corner]
