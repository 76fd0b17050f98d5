"""Run an original SAM on the recipe's weights and keep numbers of its answers.

    python -m tests.golden.make_promptable sam-med3d FOLDER COMMIT

FOLDER holds the original's package ``segment_anything``, outside this repository; COMMIT is written
into the file (a release, where there is no commit). Only its networks are imported: nothing else
of the package is needed, nor what the rest of it needs.
"""

import argparse
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fmtutor.core.files import write_json
from fmtutor.nets.sam import Shape
from tests.golden.promptable import SHAPES, Question, kept_of, picture
from tests.golden.recipe import SEED, filled

HERE = Path(__file__).parent
REPOSITORIES = {
    "sam-vit-b": "facebookresearch/segment-anything",
    "sam-med2d": "OpenGVLab/SAM-Med2D",
    "sam-med3d": "uni-medical/SAM-Med3D",
}
SAM_PIXELS = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def original(folder: Path, shape: Shape, *, adapters: bool) -> nn.Module:
    """Build an original of a shape from its three parts."""
    package = ModuleType("segment_anything")
    package.__path__ = [str(folder / "segment_anything")]
    sys.modules["segment_anything"] = package
    dims = len(shape.image)
    end = "3D" if dims == 3 else ""
    find = partial(_kind, end=end)
    side, width = shape.image[0], shape.prompt_features
    encoder = find("image_encoder", f"ImageEncoderViT{end}")(
        img_size=side, patch_size=shape.patch, in_chans=shape.in_channels,
        embed_dim=shape.features, depth=shape.depth, num_heads=shape.heads, out_chans=width,
        norm_layer=partial(nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=shape.window,
        global_attn_indexes=shape.global_blocks, **({"adapter_train": True} if adapters else {}),
    )  # fmt: skip
    prompts = find("prompt_encoder", f"PromptEncoder{end}")(
        embed_dim=width, image_embedding_size=(side // shape.patch,) * dims,
        input_image_size=(side,) * dims, mask_in_chans=16,
    )  # fmt: skip
    inside = {} if dims == 3 else {"transformer": _transformer(shape)}
    decoder = find("mask_decoder", f"MaskDecoder{end}")(
        transformer_dim=width, num_multimask_outputs=3, iou_head_depth=3,
        iou_head_hidden_dim=shape.quality_hidden, **inside,
    )  # fmt: skip
    parts = {"image_encoder": encoder, "prompt_encoder": prompts, "mask_decoder": decoder}
    return nn.ModuleDict(parts).eval()


def _kind(file: str, name: str, *, end: str) -> Any:
    return getattr(import_module(f"segment_anything.modeling.{file}{end}"), name)


def _transformer(shape: Shape) -> nn.Module:
    return _kind("transformer", "TwoWayTransformer", end="")(
        depth=2, embedding_dim=shape.prompt_features, mlp_dim=shape.decoder_hidden, num_heads=8
    )


def preprocessed(shape: Shape) -> Tensor:
    """Return the picture as the original's scripts prepare it."""
    given = picture(shape)
    if len(shape.image) == 3:
        values = given[given > 0]
        return (given - values.mean()) / values.std()
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in SAM_PIXELS)
    return (255 * given.expand(-1, 3, -1, -1) - mean) / std


def answer(
    model: Any, embedding: Tensor, shape: Shape, question: Question
) -> tuple[Tensor, Tensor]:
    """Ask an original; its 2D clicks and corners have x before y."""
    given, turn = question.prompts, slice(None, None, -1 if len(shape.image) == 2 else 1)
    order = list(range(len(shape.image)))[turn]
    points = (given.points[..., order].clone(), given.labels.clone())
    boxes = given.boxes if given.boxes is None else given.boxes[..., order].flatten(1)
    sparse, dense = model.prompt_encoder(points if points[1].numel() else None, boxes, given.mask)
    return model.mask_decoder(
        embedding, model.prompt_encoder.get_dense_pe(), sparse, dense, question.candidates
    )


def main() -> None:
    """Write ``NAME.json`` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("commit")
    given = parser.parse_args()
    shape, kind = SHAPES[given.name](), given.name.removesuffix("-small")
    torch.set_grad_enabled(False)
    wrapper = original(given.folder, shape, adapters=kind == "sam-med2d")
    wrapper.load_state_dict(filled(wrapper.state_dict()))
    model = argparse.Namespace(**dict(wrapper.items()))  # parts by name
    embedding = model.image_encoder(preprocessed(shape))
    golden = {
        "name": given.name,
        "repository": REPOSITORIES[kind],
        "commit": given.commit,
        "torch": torch.__version__,
        "seed": SEED,
        "recipe": "tests/golden/promptable.py",
        "outputs": kept_of(embedding, partial(answer, model, embedding, shape), shape),
    }
    write_json(HERE / f"{given.name}.json", golden)
    for name, output in golden["outputs"].items():
        print(name, output["shape"], f"{output['max_abs']:.4g}")


if __name__ == "__main__":
    main()
