"""Automatic 2D networks on volumes: every voxel answered, on the case's own grid."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmtutor.core.ask import Classes, Text
from fmtutor.data.cases import Case
from fmtutor.engine.slice_classes import classes_of, segment_classes, stacks


class Brighter(nn.Module):
    """Says "bright" where the image is above a half."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(image), 50 * (image - self.at)], 1)


def case(shape: tuple[int, int, int] = (20, 30, 7)) -> tuple[Case, np.ndarray]:
    mask = np.zeros(shape, bool)
    mask[4:12, 10:24, 2:6] = True
    image = np.where(mask, 200.0, -150.0).astype(np.float32)
    return Case(name="box", image=image, affine=np.diag([2.0, 1.5, 5.0, 1.0])), mask


@pytest.mark.parametrize("slices", [1, 5])
@pytest.mark.parametrize("size", [30, 64])
def test_what_is_bright_is_found_in_every_slice(slices: int, size: int) -> None:
    given, mask = case()
    model = Brighter()
    found = segment_classes(model, model, given, classes=("bright",), size=size, slices=slices)
    answer = found.mask("bright")
    assert answer.shape == mask.shape
    assert 2 * (answer & mask).sum() / (answer.sum() + mask.sum()) > 0.9
    assert found.exclusive


def test_stacks_see_every_slice_and_repeat_the_last_of_a_thin_volume() -> None:
    for count in range(1, 13):
        seen = stacks(count, 5)
        assert all(len(at) == 5 for at in seen)
        assert set(np.concatenate(seen)) == set(range(count))
    assert stacks(3, 5)[0].tolist() == [0, 1, 2, 2, 2]


def test_classes_that_are_not_known_are_refused() -> None:
    assert classes_of(Classes(), ("liver", "spleen"), system="SAMed") == ("liver", "spleen")
    with pytest.raises(ValueError, match="heart"):
        classes_of(Classes(("heart",)), ("liver",), system="SAMed")
    with pytest.raises(ValueError, match="SAMed cannot answer Text"):
        classes_of(Text("liver"), ("liver",), system="SAMed")
