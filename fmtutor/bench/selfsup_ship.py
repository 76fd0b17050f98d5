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

from fmtutor.bench.ship import stored, write_card
from fmtutor.data.domains import TARGET
from fmtutor.data.pretext import TURNS, Images, PretextBatch, PretextStream
from fmtutor.data.sample_table import source_sha256s
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import VirtualSource
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
    sources = {"torso": source_sha256s("torso")}
    model, _, recipe, path = stored(folder, name, sources)
    return write_card(
        model, folder, path, seed=recipe["seed"], sources=sources,
        scores=pretext_scores(model, batches=batches), limits=list(LIMITS),
        made_by=f"fmtutor train {recipe['system']}; python -m fmtutor.bench.selfsup_ship",
    )  # fmt: skip


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
