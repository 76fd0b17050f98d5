r"""Make a bank of class vectors: the committed one, or your own.

The committed bank is the output of

    python -m fmtutor.bench.text_bank --out fmtutor/nets/banks/minilm.safetensors

and any other text model on this machine makes another, for the same classes or for others:

    python -m fmtutor.bench.text_bank --encoder transformers --path FOLDER --out FILE.safetensors
    python -m fmtutor.bench.text_bank --encoder open_clip --path CHECKPOINT \
        --architecture ViT-B-32 --published --out FILE.safetensors
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmtutor.data.anatomy import TOTALSEGMENTATOR_V2
from fmtutor.data.domains import CENTRES, TARGET, WIDE
from fmtutor.data.taxonomies import taxonomy
from fmtutor.nets.text import encode, save_bank
from fmtutor.nets.text_encoders import TextEncoder, minilm, open_clip_text, transformers_text
from fmtutor.nets.text_prompts import PUBLISHED_SPELLINGS, PUBLISHED_TEMPLATE, TEMPLATE

ENCODERS = ("minilm", "transformers", "open_clip")


def bank_names() -> tuple[str, ...]:
    """Return the classes of the committed bank, each once.

    TotalSegmentator's 117, every region of the cohort's protocols, and the classes of CLIP-Driven
    and FSEFT: what a network of this package may be asked for.
    """
    protocols = [centre.protocol for centre in (*CENTRES.values(), TARGET, WIDE)]
    regions = [region.name for protocol in protocols for region in protocol.regions]
    classes = [row.name for name in ("clip_driven", "fseft") for row in taxonomy(name)]
    return tuple(dict.fromkeys([*TOTALSEGMENTATOR_V2.values(), *regions, *classes]))


def published_words() -> dict[str, str]:
    """Return CLIP-Driven's 32 classes in channel order, in its own words and misspellings."""
    said = {row.name: row.source_name for row in taxonomy("clip_driven")}
    return {**said, **PUBLISHED_SPELLINGS}


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, encode, and write the bank."""
    parser = argparse.ArgumentParser(description="Encode class names into a bank of vectors.")
    parser.add_argument("--encoder", choices=ENCODERS, default="minilm")
    parser.add_argument("--path", type=Path, help="folder or checkpoint of the text model")
    parser.add_argument("--architecture", help="open_clip's name of the network")
    parser.add_argument("--template", default=TEMPLATE, help="sentence with {} for the class")
    parser.add_argument("--names", nargs="+", help="classes; else the committed ones")
    parser.add_argument(
        "--published",
        action="store_true",
        help="CLIP-Driven's 32 classes, sentence and spellings, in its order",
    )
    parser.add_argument("--out", type=Path, required=True, help="FILE.safetensors")
    options = parser.parse_args(args)
    names, template, words = options.names or bank_names(), options.template, None
    if options.published:
        words, template = published_words(), PUBLISHED_TEMPLATE
        names = tuple(words)
    bank = encode(names, template=template, encoder=_encoder(parser, options), words=words)
    save_bank(bank, options.out)
    print(f"{options.out}: {len(bank.names)} classes, {bank.vectors.shape[1]} features")


def _encoder(parser: argparse.ArgumentParser, options: argparse.Namespace) -> TextEncoder:
    if options.encoder == "minilm":
        return minilm()
    if options.path is None:
        parser.error(f"--encoder {options.encoder} reads a model on this machine: add --path")
    if options.encoder == "transformers":
        return transformers_text(options.path)
    if options.architecture is None:
        parser.error("--encoder open_clip needs the name of the network: add --architecture")
    return open_clip_text(options.path, options.architecture)


if __name__ == "__main__":
    main()
