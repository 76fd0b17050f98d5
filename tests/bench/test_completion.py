"""Completed sources: only annotations are read, everything is kept, and training takes them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fmtutor.bench.completion import (
    CompletedSource,
    FirstModel,
    complete_all,
    completed_sources,
    completion_quality,
)
from fmtutor.bench.recipes import RECIPES
from fmtutor.bench.training import train_recipe
from fmtutor.data.cases import Case
from fmtutor.data.patches import Source
from fmtutor.data.regions import Protocol, Region
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms import paradigm

SHAPE = (16, 16, 16)
TABLE = {1: "liver", 2: "liver_lesion", 3: "spleen"}
LIVER = Region.of("liver", "liver", "liver_lesion")
LIVER_UNIT = Protocol("liver_unit", (LIVER, Region.of("liver_lesion")))
SPLEEN_UNIT = Protocol("spleen_unit", (Region.of("spleen"),))
BARE = Protocol("bare", (Region.of("liver"),))


@dataclass(frozen=True)
class Blocks:
    """Two cases of a liver with a lesion and a spleen; everything is in the labels, as in a
    virtual case, whatever the protocol annotates."""

    protocol: Protocol
    spleen: bool = True

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Case:
        labels = np.zeros(SHAPE, np.uint8)
        labels[2:8, 2:12, 2 + index : 12] = 1
        labels[4:6, 4:8, 6:9] = 2
        if self.spleen:
            labels[10:14, 4:10, 4:10] = 3
        known = frozenset().union(*(region.structures for region in self.protocol.regions))
        return Case(
            name=f"{self.protocol.name}-{index}", labels=labels, table=TABLE, known=known,
            image=np.choose(labels, (-50.0, 100.0, 60.0, 160.0)).astype(np.float32),
            affine=np.diag([3.0, 3.0, 3.0, 1.0]),
        )  # fmt: skip


class ByIntensity:
    """A first model that reads the image alone, and counts how often it is asked."""

    def __init__(self, *, blind_to: tuple[str, ...] = ()) -> None:
        self.asked, self.blind_to = 0, blind_to

    def __call__(self, case: Case) -> Prediction:
        assert case.labels is None
        self.asked += 1
        near = {"liver": case.image > 50, "liver_lesion": case.image == 60,
                "spleen": case.image == 160}  # fmt: skip
        near["liver"] = near["liver"] & ~near["spleen"]
        scores = {name: np.where(there, 0.9, 0.02) for name, there in near.items()}
        return Prediction.from_masks(
            {name: score for name, score in scores.items() if name not in self.blind_to}, case
        )


def sources_in(folder: Path, model: Callable[[Case], Prediction], *, key: str = "a",
               spleen: bool = True) -> list[CompletedSource]:  # fmt: skip
    partial = [Blocks(LIVER_UNIT, spleen), Blocks(SPLEEN_UNIT), Blocks(BARE)]
    return complete_all(partial, FirstModel(model, key), folder)


def test_a_completed_source_is_a_source_and_all_centres_share_one_protocol(tmp_path: Path) -> None:
    sources = sources_in(tmp_path, ByIntensity())
    assert all(isinstance(source, Source) for source in sources)
    assert {source.protocol.name for source in sources} == {"completed"}
    assert len({source.protocol for source in sources}) == 1
    case = sources[1][0]
    assert case.known >= {"liver", "liver_lesion", "spleen"}
    assert np.array_equal(case.mask("liver"), Blocks(SPLEEN_UNIT)[0].labels == 1)


def test_only_the_structures_that_the_centre_annotates_are_used(tmp_path: Path) -> None:
    """The same images, once with the spleen in the hidden truth and once without."""

    class SameImage(Blocks):
        def __getitem__(self, index: int) -> Case:
            return super().__getitem__(index).with_image(Blocks(LIVER_UNIT)[index].image)

    made = []
    for name, spleen in (("with", True), ("without", False)):
        source = SameImage(LIVER_UNIT, spleen)
        whole = complete_all(
            [source, Blocks(SPLEEN_UNIT)], FirstModel(ByIntensity(), "a"), tmp_path / name
        )
        made.append(whole[0][0].labels)
        assert {path.name for path in (tmp_path / "with" / "liver_unit").iterdir()} == {
            path.name for path in (tmp_path / name / "liver_unit").iterdir()
        }
    assert np.array_equal(*made)
    assert (made[0] > 0).sum() > (Blocks(LIVER_UNIT)[0].mask("liver", "liver_lesion")).sum()


def test_a_narrower_annotation_is_widened_by_the_model_and_kept_where_it_was(
    tmp_path: Path,
) -> None:
    bare, truth = sources_in(tmp_path, ByIntensity())[2][0], Blocks(LIVER_UNIT)[0]
    assert np.array_equal(bare.mask("liver"), truth.mask("liver"))
    assert np.array_equal(bare.mask("liver_lesion"), truth.mask("liver_lesion"))


def test_a_model_that_sees_nothing_leaves_the_annotation_alone(tmp_path: Path) -> None:
    def blind(case: Case) -> Prediction:
        nothing = np.zeros(SHAPE, np.float32)
        return Prediction.from_masks(
            dict.fromkeys(("liver", "liver_lesion", "spleen"), nothing), case
        )

    liver_unit = sources_in(tmp_path, blind)[0]
    case, truth = liver_unit[0], Blocks(LIVER_UNIT)[0]
    assert np.array_equal(case.mask("liver"), truth.mask("liver"))
    assert np.array_equal(case.mask("liver_lesion"), truth.mask("liver_lesion"))
    assert not case.mask("spleen").any()


def test_every_case_is_completed_once_and_a_killed_completion_goes_on(tmp_path: Path) -> None:
    model = ByIntensity()
    first = sources_in(tmp_path, model)[0][1].labels
    assert model.asked == 6
    path = next((tmp_path / "liver_unit").glob("00001-*.npz"))
    path.unlink()
    again = sources_in(tmp_path, model)[0][1].labels
    assert model.asked == 7
    assert np.array_equal(first, again)


def test_another_first_model_or_another_annotation_is_completed_anew(tmp_path: Path) -> None:
    model = ByIntensity()
    sources_in(tmp_path, model)
    sources_in(tmp_path, model, key="b")
    assert model.asked == 12
    narrower = replace(LIVER_UNIT, regions=(LIVER,))
    complete_all([Blocks(narrower), Blocks(LIVER_UNIT), Blocks(SPLEEN_UNIT)],
                 FirstModel(model, "a"), tmp_path)  # fmt: skip
    assert model.asked > 12


def test_quality_is_perfect_where_annotated_and_honest_elsewhere(tmp_path: Path) -> None:
    table = completion_quality(sources_in(tmp_path, ByIntensity()))
    assert len(table) == 3 * 2 * 3
    assert (table[table["annotated"] == "whole"]["dice"] == 1).all()
    assert (table[table["annotated"] == "whole"]["from_model"] == 0).all()
    rows = table[(table["centre"] == "bare") & (table["region"] == "liver")]
    assert set(rows["annotated"]) == {"part"}
    assert (rows["dice"] == 1).all()  # the lesion is added by the model
    assert (rows["from_model"] > 0).all()

    def wrong(case: Case) -> Prediction:
        return Prediction.from_masks(
            dict.fromkeys(("liver", "liver_lesion", "spleen"), case.image < 0), case
        )

    worse = completion_quality(sources_in(tmp_path, wrong, key="wrong"))
    spleens = worse[(worse["region"] == "spleen") & (worse["annotated"] == "no")]
    assert (spleens["dice"] < 0.5).all()


def test_a_first_model_that_lacks_a_class_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks \['spleen'\]"):
        sources_in(tmp_path, ByIntensity(blind_to=("spleen",)))


def test_a_trained_network_completes_and_suprem_trains_on_the_result(tmp_path: Path) -> None:
    partial = [Blocks(LIVER_UNIT), Blocks(SPLEEN_UNIT)]

    def recipe(system: str):
        module = paradigm(system)
        words = module.vocabulary([source.protocol for source in partial])
        config = module.Config.tiny(steps=2).with_vocabulary(words)
        return replace(RECIPES[system](system, "quick"), config=config)

    first, folder = recipe("fseft"), tmp_path / "masked"
    list(train_recipe(first, folder=folder, sources=partial))
    sources = completed_sources(first, folder, tmp_path / "completed", sources=partial)
    records = list(train_recipe(recipe("suprem"), folder=tmp_path / "suprem", sources=sources))
    assert len(records) == 2
    assert all(np.isfinite(record.loss) for record in records)
