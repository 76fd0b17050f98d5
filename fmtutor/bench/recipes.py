"""Committed training recipes: who teaches what, with which patches, for how long.

A recipe is a system with its configuration, the sources that it learns from, and the reading of
unknown labels. `fmtutor.bench.training` runs them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fmtutor.core.devices import Precision
from fmtutor.core.tables import lookup
from fmtutor.data.domains import CENTRES, WIDE, Centre
from fmtutor.paradigms import IN_CONTEXT, INTERACTIVE, PARADIGMS, SELF_SUPERVISED, paradigm


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training, without its seed."""

    system: str
    """A name in `fmtutor.paradigms.PARADIGMS`."""
    config: Any
    """The system's configuration, already with the vocabulary of the centres."""
    centres: tuple[Centre, ...]
    """Virtual centres that teach, in the order of their task numbers."""
    patients: int
    """Virtual patients per centre."""
    balance: float = 0.0
    """See `fmtutor.data.patches.PatchConfig`."""
    background_is_known: bool = False
    """Take unknown for background: the naive reading."""
    head_lr: float = 10.0
    """Learning rate of the heads relative to the rest: AdamW moves a weight by at most the learning
    rate per step, and a head has to reach logits of several units before anything is learnt."""
    head_prior: float = 0.05
    """Share of voxels that a class is expected to fill at the start, see `fmtutor.nets.heads`."""
    precision: Precision = "auto"
    """Precision of `fmtutor.engine.fit`."""
    ema_decay: float | None = None
    """Decay of the running average of the weights."""
    respaced: bool = False
    """Bring the virtual patients, which are at 3 mm, to the configuration's spacing."""
    wide_patients: int = 0
    """Virtual patients of the wide centre, where it is one of several; 0 takes as many as of the
    others."""
    wide_share: float = 0.0
    """Share of the patches that come from the wide centre; 0 draws all centres equally often."""
    channels_last: bool = False
    """Lay convolutions out with channels last, which a CPU computes faster in a U-Net."""


def all_centres(system: str, profile: str) -> Recipe:
    """The six partially labelled centres teach together."""
    return recipe_with(system, profile, tuple(CENTRES.values()), patients=16)


def _one_centre(system: str, profile: str) -> Recipe:
    """The centre with the most structures teaches alone: a dataset-specific network."""
    return recipe_with(system, profile, (CENTRES["abdomen_atlas"],), patients=16)


def _organs(_: str, profile: str) -> Recipe:
    """The shipped multi-organ model: FSEFT's loss on the widest virtual centre."""
    recipe = recipe_with("fseft", profile, (WIDE,), patients=300)
    if profile != "quick":
        return recipe
    config = replace(
        recipe.config, backbone="lean_unet3d", channels=(16, 32, 64, 128, 192), patch=(128, 96, 24),
        batch=1, steps=4500, lr=2e-3, warmup_steps=100, weight_decay=1e-4,
    )  # fmt: skip
    return replace(recipe, config=config, precision="fast", ema_decay=0.998, balance=0.5)


WHOLE = {"genesis_unet": ("genesis_unet", 64), "small_swin_unetr": ("swin_unetr", 48)}
"""The quick few-shot bases' backbones to those of the published tables, with their width."""


def _few_shot(backbone: str, channels: int, **changes: Any) -> Callable[[str, str], Recipe]:
    """A base of the few-shot family: FSEFT's loss, six partly labelled centres and a full one."""

    def make(_: str, profile: str) -> Recipe:
        recipe = recipe_with("fseft", profile, (*CENTRES.values(), WIDE), patients=16)
        recipe = replace(recipe, wide_patients=300, wide_share=0.6)
        if profile != "quick":
            name, width = WHOLE[backbone]
            return replace(recipe, config=replace(recipe.config, backbone=name, channels=(width,)))
        config = replace(
            recipe.config, backbone=backbone, channels=(channels,), spacing_mm=(5.0, 5.0, 5.0),
            lr=3e-3, warmup_steps=100, weight_decay=1e-4, **changes,
        )  # fmt: skip
        return replace(
            recipe, config=config, ema_decay=0.998, respaced=True,
            channels_last=backbone == "genesis_unet",
        )  # fmt: skip

    return make


ELSEWHERE = IN_CONTEXT | INTERACTIVE | SELF_SUPERVISED
"""Systems whose recipes stand in modules of their own."""

RECIPES: dict[str, Callable[[str, str], Recipe]] = {
    **dict.fromkeys((n for n in PARADIGMS if n not in ELSEWHERE), all_centres),
    "nnunet_like": _one_centre,
    "organs": _organs,
    "few_shot_unet": _few_shot("genesis_unet", 8, patch=(64, 32, 32), batch=2, steps=2400),
    "few_shot_swin": _few_shot("small_swin_unetr", 12, patch=(64, 32, 32), batch=2, steps=1500),
}
"""Name to the function that makes its recipe for a profile; systems of `ELSEWHERE` are not here."""


def recipe_with(system: str, profile: str, centres: Sequence[Centre], *, patients: int) -> Recipe:
    """Return a system's recipe on these centres, its classes taken from their protocols."""
    module = paradigm(system)
    profiles = {
        "quick": module.Config.quick,
        "gpu": module.Config.gpu,
        "paper": module.Config.paper,
    }
    words = module.vocabulary([centre.protocol for centre in centres])
    config = lookup(profiles, profile, "profile")().with_vocabulary(words)
    return Recipe(system=system, config=config, centres=tuple(centres), patients=patients)
