"""The overlap of a mask with its own probabilities."""

import pytest
import torch

from fmtutor.nets.certainty import certainty


def test_a_sure_mask_is_certain_and_a_doubtful_one_is_not() -> None:
    sure = torch.full((1, 1, 4, 4), -30.0)
    sure[..., :2] = 30.0
    doubtful = torch.where(sure > 0, 0.1, -0.1)
    assert float(certainty(sure)) == pytest.approx(1.0)
    assert float(certainty(doubtful)) < 0.5
    assert float(certainty(torch.full((1, 1, 4, 4), -30.0))) == pytest.approx(1.0)
