"""The benchmarks of interaction, on tiny networks and a made-up patient."""

import pytest
import torch

from benchmarks.interaction import run as latency
from benchmarks.interaction_scores import run as scores
from fmtutor.bench import interactive_questions as asking
from fmtutor.bench.interactive_results import results_frame
from fmtutor.core.files import read_json, write_json
from fmtutor.paradigms.interactive import early_prompt, sam, sam_med3d
from tests.bench.test_interactive_scores import patient


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return {
        "sam_med3d": sam_med3d.build(sam_med3d.Config.tiny()).eval(),
        "early_prompt": early_prompt.build(early_prompt.Config.tiny()).eval(),
        "sam_base": sam.build(sam.Config.tiny()).eval(),
    }


def test_clicks_are_timed_for_each_system_and_compared_with_the_aim(networks, monkeypatch):
    monkeypatch.setattr(latency, "network", lambda name: (networks[name], "tiny"))
    found = latency.measure(repeats=3, case=patient())
    assert set(found) == set(latency.SYSTEMS)
    for row in found.values():
        assert row["click_s"] > 0
        assert row["decode_s"] > 0
        assert row["region"] == [16, 16, 16]
    ratios = latency.ratios(found)
    expected = latency.AIM_S / found["sam_med3d"]["click_s"]
    assert ratios["aim_over_click"] == pytest.approx(expected, rel=1e-3)


@pytest.fixture
def scoring(networks, monkeypatch, tmp_path):
    monkeypatch.setattr(asking, "virtual_case", lambda centre, index: patient(f"p{index}"))
    monkeypatch.setattr(scores, "shipped", lambda: {})
    monkeypatch.setattr(
        scores, "_loaded", lambda names: {n: networks[n] for n in names if n in networks}
    )
    monkeypatch.setattr(scores, "card_of", lambda name: {"recipe": {"system": "fseft"}})
    return scores.Scoring(short=True, folder=tmp_path)


@pytest.mark.parametrize("part", scores.PARTS)
def test_a_part_is_written_with_all_it_depends_on_and_leaves_nothing_else(scoring, part, capsys):
    scores.write_part(part, scoring, scoring.folder)
    assert [path.name for path in scoring.folder.iterdir()] == [f"{part}.json"]
    result = read_json(scoring.folder / f"{part}.json")
    assert {"rows", "weights", "extent", "machine", "seconds"} <= set(result)
    frame = results_frame(scoring.folder, part)
    assert {"liver", "hip_left"} == set(frame["structure"])
    scores.report(part, scoring.folder)
    assert f"ratio {part}_" in capsys.readouterr().out


@pytest.mark.parametrize("same", [True, False])
def test_tables_take_curves_of_the_same_weights_and_click_anew_for_others(same, networks, tmp_path):
    row = {
        "volume": "target", "case": "p", "structure": "liver", "system": "sam_med3d",
        "simulator": "centre", "oracle": False, "dice": [0.5] * 11, "seconds": [1.0] * 10,
    }  # fmt: skip
    scoring = scores.Scoring(folder=tmp_path)
    weights = scoring.weights("curves3d") if same else {"another": "network"}
    write_json(tmp_path / "curves3d.json", {"rows": [row], "weights": weights})
    question = asking.Question(volume="target", case=patient(), structure="liver")
    curve = scoring.curve("sam_med3d", networks["sam_med3d"], question)
    assert (curve["dice"] == row["dice"]) is same


def test_ratios_are_named_by_what_their_line_is_known_by():
    key = ("target", False, "sam_med3d", "centre", True)
    name = scores.label_of("curves3d", key, "dice_10")
    assert name == "curves3d_target_unseen_sam_med3d_centre_oracle_dice_10"
    assert scores.label_of("prompts", ("box per slice", True), "tight box") == (
        "prompts_box_per_slice_seen_tight_box"
    )
