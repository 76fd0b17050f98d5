"""The comparison of partial-label systems: same recipe for all, honest scoring regions."""

import numpy as np
import pytest

from fmtutor.bench.comparison import SYSTEMS, results_frame, scoring_region
from fmtutor.core.files import write_json
from fmtutor.data.cases import Case


def empty_case(name: str, known: set[str]) -> Case:
    image = np.zeros((4, 4, 4), dtype=np.float32)
    return Case(name=name, image=image, affine=np.eye(4), known=frozenset(known))


def test_all_systems_share_patches_steps_and_patients():
    recipes = [make() for make in SYSTEMS.values()]
    shared = {(r.config.patch, r.config.batch, r.config.steps, r.patients) for r in recipes}
    assert len(shared) == 1
    assert next(iter(shared))[2] >= 2000


def test_masked_and_naive_differ_in_the_reading_alone():
    masked, naive = SYSTEMS["masked"](), SYSTEMS["naive"]()
    assert naive.background_is_known
    assert not masked.background_is_known
    assert (masked.config, masked.centres) == (naive.config, naive.centres)


def test_a_real_reference_scores_what_it_annotates_alone():
    real = empty_case("abdomen_ct", {"liver", "aorta", "vertebrae_T12"})
    assert scoring_region("aorta", real).structures == {"aorta"}
    assert scoring_region("vertebrae", real).structures == {"vertebrae_T12"}
    assert scoring_region("spleen", real) is None


def test_the_target_centre_scores_the_liver_with_its_lesions():
    target = empty_case("target_hospital-0-0000", set())
    assert scoring_region("liver", target).structures == {"liver", "liver_lesion"}
    assert scoring_region("kidneys", target) is None


def test_results_become_one_frame_and_undefined_scores_stay_undefined(tmp_path):
    rows = [{"case": "a", "region": "liver", "dice": 0.5, "where": "real"},
            {"case": "a", "region": "spleen", "dice": None, "where": "real"}]  # fmt: skip
    write_json(
        tmp_path / "masked-0.json", {"name": "masked", "recipe": {"seed": 0}, "scores": rows}
    )
    frame = results_frame(tmp_path)
    assert frame["dice"].mean() == 0.5
    assert frame["dice"].isna().sum() == 1


def test_no_results_say_how_to_make_them(tmp_path):
    with pytest.raises(ValueError, match="benchmarks/partial_labels"):
        results_frame(tmp_path)
