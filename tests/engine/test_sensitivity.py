import warnings

import pytest
import torch
from torch import nn

from fmtutor.data.episodes import Episodes
from fmtutor.engine.sensitivity import (
    Sensitivity,
    SupportIgnoredWarning,
    answers,
    dice_each,
    support_sensitivity,
)


class Copies(nn.Module):
    """Answers with the mask of its first example: all support, no query."""

    def forward(self, query, support_images, support_masks):
        return support_masks[:, 0] * 20 - 10


class Ignores(nn.Module):
    """Answers what is bright: all query, no support."""

    def forward(self, query, support_images, support_masks):
        return query * 20 - 10


def episodes() -> Episodes:
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, :, :3], masks[1, :, 5:] = 1, 1
    return Episodes(
        query=masks.clone(), target=masks > 0, support_images=torch.rand(2, 1, 1, 8, 8),
        support_masks=masks[:, None], known=torch.ones(2, 1, dtype=torch.bool),
    )  # fmt: skip


def test_a_network_that_reads_its_support_loses_all_by_the_exchange():
    found = support_sensitivity(Copies(), episodes())
    assert found.own.tolist() == [1.0, 1.0]
    assert found.drop == 1.0


def test_a_network_that_ignores_its_support_loses_nothing_and_is_warned_of():
    found = support_sensitivity(Ignores(), episodes())
    assert found.drop == 0.0
    with pytest.warns(SupportIgnoredWarning, match="falls by only 0.00"):
        found.guard()


def test_a_network_that_answers_nothing_yet_is_let_pass():
    nothing = Sensitivity(own=torch.zeros(2), other=torch.zeros(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing.guard()


def test_the_training_mode_comes_back():
    model = Copies().train()
    support_sensitivity(model, episodes())
    assert model.training


def test_an_episode_that_keeps_its_support_is_refused():
    with pytest.raises(ValueError, match="support of another episode"):
        support_sensitivity(Copies(), episodes(), order=[0, 1])
    with pytest.raises(ValueError, match="at least two episodes"):
        support_sensitivity(Copies(), episodes().part(slice(0, 1)))


def test_candidates_are_averaged_as_probabilities():
    class Two(nn.Module):
        def forward(self, query, support_images, support_masks):
            return torch.cat([query * 0 + 20, query * 0 - 20], 1)

    assert torch.allclose(answers(Two(), episodes()), torch.full((2, 8, 8), 0.5))


def test_two_empty_masks_agree():
    empty = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert dice_each(empty, empty).tolist() == [1.0]
    assert dice_each(empty, ~empty).tolist() == [0.0]
