"""A source on another spacing keeps its protocol and its cases."""

import numpy as np

from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.respaced import RespacedSource


class OneCase:
    protocol = Protocol("p", (Region.of("liver"),))
    asked = 0

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Case:
        self.asked += 1
        image = np.zeros((12, 12, 12), np.float32)
        affine = np.diag((3.0, 3.0, 3.0, 1.0))
        return Case(name=f"c{index}", image=image, affine=affine)


def test_cases_come_on_the_new_spacing_and_are_read_once() -> None:
    bare = OneCase()
    source = RespacedSource(bare, (6.0, 6.0, 6.0))
    assert (len(source), source.protocol) == (1, OneCase.protocol)
    assert source[0].spacing_mm == (6.0, 6.0, 6.0)
    assert source[0].image.shape == (6, 6, 6)
    assert bare.asked == 1
