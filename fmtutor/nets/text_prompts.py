"""What is said about a class: its name in words, and the sentence around it.

A text encoder never sees ``kidney_left``; it sees "A computed tomography of a left kidney". Both
choices move the vectors, so a bank keeps the very sentences beside them.
"""

import re

TEMPLATE = "A computed tomography of a {}"
"""What is encoded unless told otherwise."""
PUBLISHED_TEMPLATE = "A computerized tomography of a {}"
"""The sentence of the CLIP-Driven Universal Model's shipped vectors."""
PUBLISHED_SPELLINGS = {"aorta": "Arota", "celiac_trunk": "Celiac Truck"}
"""Two classes that its script spells wrongly: its vectors come from these words, not the right
ones. Its other classes are the ``source_name`` column of the taxonomy ``clip_driven``."""
TEMPLATES = (
    "{}",
    "A photo of a {}.",
    TEMPLATE,
    PUBLISHED_TEMPLATE,
    "There is {} in this computerized tomography",
)
"""Sentences to compare: bare, CLIP's own, ours, and two that CLIP-Driven tried."""

_SIDES = ("left", "right")
_ATLAS = re.compile(r"^(dk|aal|nmm)_")
_VERTEBRA = re.compile(r"vertebrae_([CTLS]\d+)")
_NUMBERED = re.compile(r"(.*) (\d+)")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
_ENGLISH = {
    "autochthon": "autochthonous back muscle",
    "clavicula": "clavicle",
    "claviculae": "clavicles",
    "hip": "hip bone",
    "hips": "hip bones",
    "iliac vena": "iliac vein",
    "lung lower lobe": "lower lobe of lung",
    "lung middle lobe": "middle lobe of lung",
    "lung upper lobe": "upper lobe of lung",
}
"""Names that are Latin, shortened or turned round, as an encoder has met them in text."""


def spoken(name: str) -> str:
    """Return a canonical class name as words.

    The side goes first, numbers of ribs become ordinals, and a few Latin or shortened names become
    English ones. Any other name is its words; the prefix of a brain atlas is dropped.

    Args:
        name: Words joined by underscores.

    Raises:
        ValueError: The name holds no letter.

    Example:
        >>> spoken("kidney_left"), spoken("vertebrae_L1"), spoken("rib_right_2")
        ('left kidney', 'L1 vertebra', 'right second rib')
    """
    if not re.search("[A-Za-z]", name):
        raise ValueError(f"a class name needs letters, not {name!r}; give words such as 'liver'.")
    if vertebra := _VERTEBRA.fullmatch(name):
        return f"{vertebra[1]} vertebra"
    words = _ATLAS.sub("", name).replace("_", " ").split()
    sides = [word for word in words if word in _SIDES]
    phrase = " ".join(word for word in words if word not in _SIDES)
    phrase = _ENGLISH.get(phrase, phrase)
    numbered = _NUMBERED.fullmatch(phrase)
    if numbered and sides and 1 <= int(numbered[2]) <= len(_ORDINALS):
        phrase = f"{_ORDINALS[int(numbered[2]) - 1]} {numbered[1]}"
    return " ".join([*sides, phrase])
