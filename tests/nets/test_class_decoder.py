"""A mask token for each class: shapes, what stays of SAM's decoder, and resolution."""

from dataclasses import replace

import pytest
import torch

from fmtutor.core.prompts import no_points
from fmtutor.core.seeds import torch_rng
from fmtutor.nets.class_decoder import NEW, ClassDecoder, ClassSam
from fmtutor.nets.sam import Sam
from fmtutor.nets.sam_start import start_from
from fmtutor.paradigms.interactive.sizes import TINY

IMAGE = torch.rand(2, 1, 16, 16, generator=torch_rng("classes"))


def test_it_answers_the_background_and_every_class_of_every_image() -> None:
    assert ClassSam(TINY, 5)(IMAGE).shape == (2, 6, 16, 16)


@pytest.mark.parametrize(("doublings", "side"), [(2, 16), (4, 64)])
def test_it_goes_on_doubling_as_often_as_asked(doublings: int, side: int) -> None:
    model = ClassSam(TINY, 2, doublings=doublings)
    features = torch.zeros(1, TINY.prompt_features, 4, 4)
    nothing = torch.zeros(1, 0, TINY.prompt_features)
    low = model.mask_decoder.classes(features, features, nothing, features)
    assert low.shape == (1, 3, side, side)


def test_with_sams_own_tokens_it_gives_sams_own_masks() -> None:
    base = Sam(TINY).eval()
    model = ClassSam(TINY, 3).eval()
    start_from(model, base)
    embedding, nothing = base.embed(IMAGE), no_points(2, 2)
    single = base.decode(embedding, nothing).logits
    others = base.decode(embedding, nothing, candidates=True).logits
    found = model.class_maps(model.embed(IMAGE), nothing)
    assert torch.allclose(found, torch.cat([single, others], 1), atol=1e-5)


def test_all_but_tokens_and_their_heads_comes_from_the_base() -> None:
    base, model = Sam(TINY), ClassSam(TINY, 7)
    start_from(model, base, new=NEW)
    theirs = base.state_dict()
    new = {
        name
        for name, value in model.state_dict().items()
        if name not in theirs or not torch.equal(value, theirs[name])
    }
    parts = {name.split(".")[1] for name in new}
    assert parts == {"mask_tokens", "hyper", "iou_head"}


def test_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        ClassDecoder(replace(TINY), 0)
