"""Answers are kept one by one, and never mixed with those of other weights."""

import json

import pytest

from fmtutor.bench.interactive_kept import answered
from fmtutor.bench.interactive_questions import Question
from tests.bench.test_interactive_scores import question


def asked() -> list[Question]:
    return [question("liver"), question("hip_left")]


def naming(q: Question) -> list[dict]:
    return [{"structure": q.structure}]


def failing_at(structure: str):
    def answer(q: Question) -> list[dict]:
        if q.structure == structure:
            raise KeyboardInterrupt
        return naming(q)

    return answer


def test_a_stopped_scoring_goes_on_where_it_was(tmp_path):
    kept, stamp = tmp_path / "part.jsonl", {"weights": {"x": "1"}, "sizes": (1, 2)}
    with pytest.raises(KeyboardInterrupt):
        answered(asked(), failing_at("hip_left"), kept, stamp)
    rows = answered(asked(), failing_at("liver"), kept, stamp)
    assert rows == [{"structure": "liver"}, {"structure": "hip_left"}]


def test_answers_of_other_weights_are_made_anew(tmp_path):
    kept = tmp_path / "part.jsonl"
    answered(asked(), naming, kept, {"weights": "old"})
    with pytest.raises(KeyboardInterrupt):
        answered(asked(), failing_at("liver"), kept, {"weights": "new"})


def test_a_line_that_was_cut_short_is_asked_again(tmp_path):
    kept = tmp_path / "part.jsonl"
    answered(asked(), naming, kept, {"weights": "x"})
    kept.write_text(kept.read_text()[:-5])
    rows = answered(asked(), failing_at("liver"), kept, {"weights": "x"})
    assert [row["structure"] for row in rows] == ["liver", "hip_left"]
    assert [json.loads(line) for line in kept.read_text().splitlines()][-1]["key"].endswith(
        "hip_left"
    )
