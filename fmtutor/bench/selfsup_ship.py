"""From a training folder of a self-supervised system to shipped weights with their card.

    python -m fmtutor.bench.selfsup_ship runs/train/swin_ssl-quick-0 --name swin_ssl

It segments nothing, so its card has no Dice: the scores say how well it answers its own questions
about images that it never saw, beside an answer that needs no network.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.bench.machine import machine
from fmtutor.bench.ship import trained_model
from fmtutor.core.files import sha256_of, write_json
from fmtutor.data.domains import TARGET
from fmtutor.data.pretext import TURNS, Images, PretextBatch, PretextStream
from fmtutor.data.sample_table import check_sources, source_sha256s
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import VirtualSource
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import history_frame
from fmtutor.hub.models import weights_folder
from fmtutor.paradigms import config_of

REAL = ("abdomen_ct_dicom", "thorax_ct")
"""Real CT volumes that no training sees."""
TARGET_PATIENTS = 8
BATCHES = 40
"""Of each source; a batch has a crop in two views for each of its places."""
LIMITS = (
    "An encoder and three heads that are thrown away: it segments nothing before it is adapted.",
    "All its images are of virtual patients grown from ONE real torso CT; the published encoder "
    "saw 5,050 CT of many patients.",
    "Trained for minutes, not days: what it is worth beside a supervised base is measured in the "
    "tables on new organs, not assumed.",
    "For teaching. Not a medical device.",
)


def ship(folder: Path, name: str, *, batches: int = BATCHES) -> Path:
    """Store a training folder's weights in fp16 with their card; the stored ones are scored.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        batches: Scored of each source.

    Returns:
        The path of the card.
    """
    model, _, recipe = trained_model(folder)
    sources = {"torso": source_sha256s("torso")}
    check_sources(sources["torso"], what=name)
    path = weights_folder() / f"{name}.safetensors"
    save_weights(model, path, dtype="fp16", metadata={"name": name})
    load_weights(model, path)  # what is scored is what is stored, rounding included
    history = history_frame(folder)
    card = {
        "name": name, "recipe": recipe, "seed": recipe["seed"], "sources": sources,
        "training_seconds": round(float(history["seconds"].sum()), 1), "steps": len(history),
        "scores": pretext_scores(model, batches=batches), "limits": list(LIMITS),
        "machine": machine(), "licence": "Apache-2.0",
        "made_by": f"fmtutor train {recipe['system']}; "
        f"python -m fmtutor.bench.selfsup_ship FOLDER --name {name}",
        "weights_sha256": sha256_of(path),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    write_json(path.with_suffix(".json"), card)
    return path.with_suffix(".json")


def pretext_scores(model: nn.Module, *, batches: int) -> list[dict[str, Any]]:
    """Return one row for each source of unseen images: the target centre, and real volumes."""
    sources: dict[str, Images] = {"target": VirtualSource(TARGET, TARGET_PATIENTS)}
    for name in REAL:
        cases: Sequence[Any] = [load_sample(name)]
        sources[name] = cases
    return [{"source": name, **answered(model, images, batches=batches)}
            for name, images in sources.items()]  # fmt: skip


@torch.inference_mode()
def answered(model: nn.Module, images: Images, *, batches: int) -> dict[str, float]:
    """Return how well the pretext tasks are answered on these images.

    Returns:
        ``rotation`` and ``contrast``: shares of views whose turn is named, whose other view is
        found among all of the batch; ``restored`` and ``untouched``: mean absolute error of the
        restored crop, and of the cut-out view as it is; ``chance_rotation``, ``chance_contrast``.
    """
    config = config_of(model)
    stream = PretextStream([images], config.views, seed=1)
    rows = [judged(model, stream(number)) for number in range(batches)]
    means = torch.tensor(rows).mean(0).tolist()
    names = ("rotation", "contrast", "restored", "untouched")
    scores = {name: round(mean, 4) for name, mean in zip(names, means, strict=True)}
    others = 2 * config.batch - 1
    return {**scores, "chance_rotation": 1 / TURNS, "chance_contrast": round(1 / others, 4),
            "views": batches * (others + 1)}  # fmt: skip


def judged(model: nn.Module, batch: PretextBatch) -> tuple[float, float, float, float]:
    """Return the four measures of `answered` for one batch."""
    answers = model.eval()(batch.views)
    named = answers["rotation"].argmax(1) == batch.rotation
    return (
        named.float().mean().item(),
        partner_found(answers["contrast"]).float().mean().item(),
        functional.l1_loss(answers["reconstruction"], batch.target).item(),
        functional.l1_loss(batch.views, batch.target).item(),
    )


def partner_found(features: Tensor) -> Tensor:
    """Return for each of 2B views (first views, then second) whether its other view is nearest."""
    near = functional.cosine_similarity(features[:, None], features[None], dim=2)
    near.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(features)).roll(len(features) // 2)
    return near.argmax(1) == partner


def main() -> None:
    """Parse the command line and ship."""
    parser = argparse.ArgumentParser(description="Store a pre-trained encoder with its card.")
    parser.add_argument("folder", type=Path, help="what `fmtutor train` wrote")
    parser.add_argument("--name", required=True, help="name of the shipped model")
    options = parser.parse_args()
    path = ship(options.folder, options.name)
    print(json.dumps(json.loads(path.read_text())["scores"], indent=1))
    print(path)


if __name__ == "__main__":
    main()
