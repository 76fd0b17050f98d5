"""What the text ablation asks, on a tiny model."""

import numpy as np
import torch

from fmtutor.bench.comparison import SYSTEMS
from fmtutor.bench.text_ablation import FEW, NOVEL, TEXTS, few_shot_stream, present, recipe_for
from fmtutor.data.anatomy import KNOWN_STRUCTURES, NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.paradigms.partial import clip_driven


def test_all_texts_share_everything_but_the_vectors() -> None:
    published = SYSTEMS["clip_driven"]().config
    assert recipe_for("minilm").config == published
    for text in TEXTS:
        config = recipe_for(text).config
        assert (config.steps, config.classes, config.lr) == (
            published.steps, published.classes, published.lr)  # fmt: skip
        assert clip_driven.text_vectors(config).shape == (len(config.classes), 384)


def test_no_novel_structure_is_in_the_first_training() -> None:
    assert set(NOVEL) == set(NOVEL_STRUCTURES)
    assert not set(NOVEL) & set(SYSTEMS["clip_driven"]().config.classes)
    assert not set(NOVEL) & set(KNOWN_STRUCTURES)


def test_few_shot_patches_know_the_novel_classes_alone(monkeypatch) -> None:
    asked = []

    def grown(centre, index, seed=0) -> Case:
        asked.append(index)
        labels = np.zeros((20, 20, 20), dtype=np.uint8)
        labels[4:9], labels[12:18] = 1, 2
        return Case(name=f"{centre.name}-{index}", image=np.zeros(labels.shape, np.float32),
                    affine=np.diag((3.0, 3.0, 3.0, 1.0)), labels=labels,
                    table={1: "sacrum", 2: "liver"}, known=frozenset(["sacrum"]))  # fmt: skip

    monkeypatch.setattr("fmtutor.data.shelf.virtual_case", grown)
    torch.manual_seed(0)
    model = clip_driven.build(clip_driven.Config.tiny(classes=("liver", "spleen"), text_size=32))
    wider = clip_driven.add_classes(model, NOVEL)
    batch = few_shot_stream(wider, seed=0)(0)
    names = np.array(wider.config.classes)
    assert set(names[batch.known[0].numpy()]) == set(NOVEL)
    assert bool(batch.target[0, list(names).index("sacrum")].any())
    assert not bool(batch.target[0, 0].any())  # the liver is there, but nobody drew it
    assert len(asked) == FEW
    assert min(asked) >= 100  # scored patients count from 0


def test_only_structures_that_show_are_asked_for() -> None:
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0] = 1
    case = Case(name="c", image=labels.astype(np.float32), affine=np.eye(4), labels=labels,
                table={1: "sacrum", 2: "hip_left"})  # fmt: skip
    assert present(case, NOVEL) == ["sacrum"]
