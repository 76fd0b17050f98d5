import json

import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import annotation_results as results
from fmtutor.bench import figures_annotation as figures
from fmtutor.bench.annotation_crowd import Costs


def _crowd():
    rows = []
    for case in ("a", "b"):
        for skill, dice in (("expert", 0.9), ("novice", 0.7)):
            rows.append({
                "case": case, "structure": "liver", "person": f"{skill}-0", "skill": skill,
                "clicks": 5, "seconds": 45.0, "outlined_s": 450.0, "break_even_s": 86.0,
                "by_click": [dice - 0.1, dice], "dice": dice, "volume_ratio": 1.1, "bias_mm": 0.5,
            })  # fmt: skip
    return rows


def _training():
    gain = {"true": 0.0, "expert": -0.05, "grown": -0.2}
    return [
        {"labels": labels, "seed": seed, "tests": "there", "case": case, "structure": "liver",
         "dice": 0.8 + less + 0.01 * seed + 0.02 * number, "volume_ratio": 1.0, "bias_mm": None}
        for labels, less in gain.items() for seed in range(2) for number, case in enumerate("abc")
    ]  # fmt: skip


def _agreement():
    about = {"case": "a", "structure": "liver", "people": 3, "bias_mm": 1.0, "individual_mm": 5.0}
    return [
        {**about, "skill": "expert", "pairwise_dice": 0.9, "dice": 0.8, "shared_mm": 5.0},
        {**about, "skill": "novice", "pairwise_dice": 0.6, "dice": 0.7, "shared_mm": 0.0},
    ]


def _volumes():
    return [
        {"choice": choice, "seed": seed, "round": number, "volumes": 2 + number, "tests": "there",
         "case": case, "structure": "liver", "dice": 0.5 + 0.1 * number + more * (number > 0)}
        for choice, more in (("random", 0.0), ("uncertain", 0.05), ("diverse", -0.05))
        for seed in range(2) for number in range(2) for case in "ab"
    ]  # fmt: skip


def _clicks():
    return [
        {"case": case, "structure": "liver", "choice": choice, "dice": [0.5, last]}
        for choice, last in (("error", 0.9), ("uncertain", 0.8)) for case in "ab"
    ]  # fmt: skip


def _context():
    return [
        {"structure": "hip", "axis": "axial", "seed": 0, "start": start, "image": image,
         "clicks": clicks(image), "before": 0.5, "dice": 0.95 if clicks(image) < 10 else 0.5}
        for start, clicks in (("growing", lambda i: 7 - i), ("afresh", lambda i: 10))
        for image in range(1, 7)
    ]  # fmt: skip


ROWS = {"crowd": _crowd, "training": _training, "volumes": _volumes, "clicks": _clicks,
        "context": _context, "agreement": _agreement}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name, rows in ROWS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": rows(), "models": {"m": "1"}}))
    return tmp_path


def test_a_file_that_is_not_there_gives_an_empty_table_and_says_so(tmp_path):
    for name, columns in results.COLUMNS.items():
        frame = results.results_frame(tmp_path, name)
        assert frame.empty
        assert tuple(frame.columns) == columns
    for name in results.COLUMNS:
        assert "No result" in results.made_by(tmp_path, name)
        assert f"--only {results.PARTS[name]}" in results.made_by(tmp_path, name)
    empty = results.results_frame(tmp_path, "training")
    assert "No result training.json" in results.lost_sentences(empty, "there")[0]
    assert "No result training.json" in results.equal_dice_sentence(empty, empty, "there")
    assert "No result agreement.json" in results.agreement_sentences(empty)[0]
    assert results.inherited_table(empty, empty, "there").empty
    assert "No result volumes.json" in results.choice_sentences(empty, "there")[0]
    assert results.click_gaps(empty) == results.context_gaps(empty) == {}


def test_what_a_file_holds_is_said_in_words(folder):
    assert results.made_by(folder, "training").startswith("3 cases, 1 structure, 3 label sets, 2 s")


def test_a_file_without_its_columns_is_refused(tmp_path):
    (tmp_path / "clicks.json").write_text('{"rows": [{"case": "a"}]}')
    with pytest.raises(ValueError, match="lacks"):
        results.results_frame(tmp_path, "clicks")


def test_skills_are_told_with_what_they_save(folder):
    table = results.crowd_table(results.results_frame(folder, "crowd"))
    assert list(table.index) == ["expert", "novice"]
    assert table.loc["expert", "saved"] == pytest.approx(0.9)
    assert table.loc["novice", "minutes"] == pytest.approx(0.75)


def test_parts_of_borders_add_up_in_squares():
    rows = [{"skill": "novice", "pairwise_dice": 0.8, "dice": 0.7, "bias_mm": 1.0,
             "shared_mm": shared, "individual_mm": 5.0} for shared in (1.0, 7.0)]  # fmt: skip
    table = results.agreement_table(pd.DataFrame(rows))
    assert table.loc["novice", "shared_mm"] == pytest.approx(5.0)
    assert table.loc["novice", "shared part"] == pytest.approx(0.5)


def test_agreement_is_told_with_what_it_hides(folder):
    expert, novice = results.agreement_sentences(results.results_frame(folder, "agreement"))
    assert "agreement flatters; 50%" in expert
    assert "agreement does not flatter; 0%" in novice


def test_a_network_inherits_a_shift_beyond_that_of_true_masks():
    shifts = {"true": (0.0, 1.0), "novice": (0.0, 1.0), "rough": (0.0, 1.5), "grown": (4.0, 4.0)}
    dices = {"true": 0.9, "novice": 0.8, "rough": 0.78, "grown": 0.7}
    labels = pd.DataFrame({"labels": list(shifts), "dice": 0.8,
                           "bias_mm": [masks for masks, _ in shifts.values()]})  # fmt: skip
    training = pd.DataFrame([
        {"labels": name, "tests": "there", "case": "a", "seed": seed, "dice": dices[name],
         "volume_ratio": 1.0, "bias_mm": network}
        for name, (_, network) in shifts.items() for seed in range(3)
    ])  # fmt: skip
    table = results.inherited_table(labels, training, "there")
    assert list(table.index) == list(shifts)
    assert table.loc["grown", ("masks", "shift, mm")] == pytest.approx(4.0)
    assert table.loc["grown", ("network", "shift, mm")] == pytest.approx(3.0)
    sentence = results.equal_dice_sentence(labels, training, "there")
    assert "masks at most 0.000 apart, of the networks 0.100; seeds" in sentence


def test_label_sets_are_compared_by_case(folder):
    frame = results.results_frame(folder, "training")
    table = results.training_table(frame, "there")
    assert list(table.index) == ["true", "expert", "grown"]
    assert table.loc["true", "dice"] == pytest.approx(0.825)
    assert table.loc["true", "seeds"] == 2
    assert results.lost(frame, "there", "grown").mean == pytest.approx(-0.2)
    sentences = results.lost_sentences(frame, "there")
    assert len(sentences) == 2
    assert "-0.050" in sentences[0]
    assert "not told apart" not in sentences[1]


def test_a_choice_is_compared_with_chance_by_case_and_by_seed(folder):
    frame = results.results_frame(folder, "volumes")
    gains = results.choice_gains(frame, "there")
    assert gains["uncertain"].mean(axis=None) == pytest.approx(0.05)
    assert gains["diverse"].mean(axis=None) == pytest.approx(-0.05)
    sentences = results.choice_sentences(frame, "there")
    assert sentences[0].startswith("diverse less random: -0.050")
    assert sentences[0].endswith("2 cases); seeds -0.050 -0.050")


def test_seeds_that_disagree_are_no_finding():
    assert results.by_seed(pd.Series([0.1, 0.02])) == "seeds +0.100 +0.020"
    assert results.by_seed(pd.Series([0.1, -0.02])) == "seeds +0.100 -0.020 disagree: no finding"


def test_clicks_and_starts_are_averaged(folder):
    curves = results.click_curves(results.results_frame(folder, "clicks"))
    assert curves.loc[2, "error"] == pytest.approx(0.9)
    gaps = results.click_gaps(results.results_frame(folder, "clicks"))
    assert {name: found.mean for name, found in gaps.items()} == {
        "error less uncertain": pytest.approx(0.1)
    }
    gaps = results.context_gaps(results.results_frame(folder, "context"))
    assert gaps["growing less afresh"].mean == pytest.approx(-8.5)
    assert results.signed(gaps["growing less afresh"], "data sets").endswith("1 data sets)")
    table = results.context_table(results.results_frame(folder, "context"))
    assert list(table.index) == ["growing", "afresh"]
    assert table.loc["growing", "early"] == pytest.approx(5.5)
    assert table.loc["growing", "late"] == pytest.approx(1.5)
    assert table.loc["afresh", "never reached"] == 1


@pytest.mark.parametrize("full", [True, False])
def test_every_figure_is_drawn_and_an_empty_one_says_so(folder, tmp_path, full):
    at = folder if full else tmp_path / "nothing"
    crowd, training, volumes, clicks, context, _ = (
        results.results_frame(at, name) for name in ROWS
    )
    labels = training.drop(columns=["seed", "tests"])
    drawn = [
        figures.plot_crowd(crowd),
        figures.plot_costs(crowd, Costs()),
        figures.plot_labels(labels, training, "there"),
        figures.plot_volumes(volumes),
        figures.plot_clicks(clicks),
        figures.plot_context(context),
    ]
    for figure in drawn:
        notes = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert ("no results yet" in notes) != full


def test_people_are_drawn_on_a_slice():
    truth = np.zeros((20, 20), bool)
    truth[5:12, 6:14] = True
    people = {"expert-0": truth, "novice-0": np.roll(truth, 2, axis=0)}
    figure = figures.plot_people(np.full((20, 20), 0.5), truth, people)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["the truth", "everybody"]
