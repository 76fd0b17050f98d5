"""The command that makes banks."""

import pytest
import torch

from fmtutor.bench import text_bank
from fmtutor.bench.text_bank import bank_names, main, published_words
from fmtutor.data.anatomy import KNOWN_STRUCTURES, NOVEL_STRUCTURES, STRUCTURES
from fmtutor.data.taxonomies import taxonomy
from fmtutor.nets.text import load_bank
from fmtutor.nets.text_encoders import TextEncoder


@pytest.fixture
def _letters(monkeypatch):
    """Put an encoder of a sentence's length and first letter in the place of MiniLM."""
    quick = TextEncoder(
        vectors=lambda prompt: torch.tensor([len(prompt), ord(prompt[0])]),
        source={"kind": "letters"},
    )
    monkeypatch.setattr(text_bank, "minilm", lambda: quick)


def test_the_committed_bank_holds_what_a_network_may_be_asked_for():
    names = load_bank("minilm").names
    assert names == bank_names()
    assert {*KNOWN_STRUCTURES, *NOVEL_STRUCTURES, "kidneys", "liver_lesion"} <= set(names)
    assert set(names) <= set(STRUCTURES)


def test_published_words_stand_in_channel_order_with_the_two_slips():
    words = published_words()
    assert list(words) == [row.name for row in taxonomy("clip_driven")]
    assert words["kidney_right"] == "Right Kidney"
    assert (words["aorta"], words["celiac_trunk"]) == ("Arota", "Celiac Truck")


@pytest.mark.usefixtures("_letters")
def test_a_bank_is_made_from_names(tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    main(["--names", "liver", "my_new_organ", "--template", "{}", "--out", str(out)])
    made = load_bank(out)
    assert made.names == ("liver", "my_new_organ")
    assert made.prompts == ("liver", "my new organ")
    assert made.vectors.tolist() == [[5, ord("l")], [12, ord("m")]]
    assert "2 classes, 2 features" in capsys.readouterr().out


@pytest.mark.usefixtures("_letters")
def test_the_published_sentences_can_be_encoded(tmp_path):
    out = tmp_path / "published.safetensors"
    main(["--published", "--out", str(out)])
    made = load_bank(out)
    assert len(made.names) == 32
    assert made.prompts[7] == "A computerized tomography of a Arota"


@pytest.mark.parametrize(
    ("words", "missing"),
    [(["--encoder", "transformers"], "--path"),
     (["--encoder", "open_clip", "--path", "x.bin"], "--architecture")],
)  # fmt: skip
def test_an_encoder_without_its_files_says_what_to_add(words, missing, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--out", str(tmp_path / "x.safetensors")])
    assert f"add {missing}" in capsys.readouterr().err
