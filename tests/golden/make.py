"""Run an original network on the recipe's weights and keep 64 of its numbers.

    python -m tests.golden.make clip-driven-swin FOLDER

FOLDER is a clone of the original's repository, kept outside this one; nothing of it is copied.
The originals bring their own Swin UNETR, with the patch merging of MONAI 0.9, on MONAI's
convolution blocks; SuPreM's SegResNet is MONAI's own. The committed numbers were made with MONAI
0.9.0 first on the path (``pip install --no-deps --target ELSEWHERE monai==0.9.0``), and MONAI 1.6.1
gives the same: only its own Swin UNETR has changed.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import monai
import torch
from torch import Tensor, nn

from fmtutor.core.files import write_json
from tests.golden.recipe import SEED, episode, filled, image, kept

HERE = Path(__file__).parent
SWIN, UNET = (1, 1, 64, 32, 96), (2, 1, 32, 16, 48)
"""Inputs: no two sides alike, so that swapped axes show; two samples where norms look at both."""
EPISODE = {"query": (2, 1, 48, 64), "supports": 3}


def universal(backbone: str) -> nn.Module:
    """Build the text-driven network of CLIP-Driven, and of SuPreM."""
    kind = import_module("model.Universal_model").Universal_model
    return kind((96, 96, 96), 1, 32, backbone, "word_embedding")


def segresnet() -> nn.Module:
    """Build MONAI's SegResNet as SuPreM's training code does."""
    from monai.networks.nets import SegResNet

    return SegResNet(
        blocks_down=[1, 2, 2, 4], blocks_up=[1, 1, 1], init_filters=16, in_channels=1,
        out_channels=25, dropout_prob=0.0,
    )  # fmt: skip


def fseft() -> nn.Module:
    """Build FSEFT's Swin UNETR."""
    kind = import_module("models.architectures.SwinUNETR").SwinUNETR
    return kind(img_size=(96, 96, 96), in_channels=1, out_channels=29, feature_size=48)


def genesis() -> nn.Module:
    """Build Models Genesis' U-Net; its last features are read, as its last layer is not ours."""
    return import_module("unet3d").UNet3D()


def universeg() -> nn.Module:
    """Build UniverSeg v1."""
    return import_module("universeg").universeg("v1")


def tyche() -> nn.Module:
    """Build Tyche-TS."""
    return import_module("tyche.model").tychets("v1")


Input = tuple[int, ...] | dict[str, Any]
ORIGINALS: dict[str, tuple[str, Callable[[], nn.Module], Input]] = {
    "clip-driven-swin": (".", lambda: universal("swinunetr"), SWIN),
    "clip-driven-unet": (".", lambda: universal("unet"), UNET),
    "suprem-swin": ("direct_inference", lambda: universal("swinunetr"), SWIN),
    "suprem-unet": ("direct_inference", lambda: universal("unet"), UNET),
    "suprem-segresnet": (".", segresnet, UNET),
    "fseft-swin": (".", fseft, SWIN),
    "models-genesis": ("pytorch", genesis, UNET),
    "universeg-v1": (".", universeg, EPISODE),
    "tyche-ts": (".", tyche, {**EPISODE, "candidates": 2}),
}
"""Folder of the original's code, how it is built, and its input."""


def outputs(model: nn.Module, shape: Input) -> Tensor:
    """Return the output that ours must equal."""
    with torch.no_grad():
        if isinstance(shape, Mapping):
            return answered(model, shape)
        out = model(image(shape))
    return model.out_up_64 if hasattr(model, "out_tr") else out


def answered(model: nn.Module, shape: Mapping[str, Any]) -> Tensor:
    """Return the answer of an in-context network; candidates become channels."""
    (query, images, masks), options = episode(**shape)
    if not options:
        return model(query, images, masks)
    queries = query[:, None].expand_as(options["noise"])
    return model(images, masks, queries, options["noise"])[:, :, 0]


def main() -> None:
    """Write ``NAME.json`` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ORIGINALS)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    inside, build, shape = ORIGINALS[given.name]
    sys.path.insert(0, str(given.folder / inside))
    model = build().eval()
    model.load_state_dict(filled(model.state_dict()))
    commit = ["git", "-C", str(given.folder), "rev-parse", "HEAD"]
    origin = ["git", "-C", str(given.folder), "config", "remote.origin.url"]
    repository = Path(subprocess.check_output(origin, text=True).strip())
    if repository.name in ("repo", ".git"):
        repository = repository.parent
    golden = {
        "name": given.name,
        "repository": repository.name.removesuffix(".git").replace("+", "/"),
        "commit": subprocess.check_output(commit, text=True).strip(),
        "monai": monai.__version__,
        "torch": torch.__version__,
        "seed": SEED,
        "input": shape,
        "recipe": "tests/golden/recipe.py",
        **kept(outputs(model, shape)),
    }
    write_json(HERE / f"{given.name}.json", golden)
    print(given.name, golden["shape"], golden["max_abs"], golden["values"][:4])


if __name__ == "__main__":
    main()
