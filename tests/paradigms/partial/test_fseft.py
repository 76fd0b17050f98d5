import pytest
import torch
from torch import nn

from fmtutor.data.batches import Batch
from fmtutor.paradigms.partial import fseft
from fmtutor.paradigms.partial.fseft import Config


class Constant(nn.Module):
    """A network whose logits are a parameter."""

    def __init__(self, logits: torch.Tensor, config: Config) -> None:
        super().__init__()
        self.config, self.logits = config, nn.Parameter(logits)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_the_loss_is_the_mean_over_samples_of_the_mean_over_their_known_classes() -> None:
    # One voxel, logits 0. Target true: Dice loss 1 - 2/2.5; target false: 1 - 1/1.5.
    batch = Batch(
        image=torch.zeros(2, 1, 1, 1, 1),
        target=torch.tensor([[True, False, False], [False, False, True]]).reshape(2, 3, 1, 1, 1),
        known=torch.tensor([[True, True, False], [False, False, True]]),
        task=torch.zeros(2, dtype=torch.long),
    )
    model = Constant(torch.zeros(2, 3, 1, 1, 1), Config(classes=("a", "b", "c")))
    expected = ((0.2 + 1 / 3) / 2 + 0.2) / 2
    assert float(fseft.step(model, batch).detach()) == pytest.approx(expected)


def test_the_published_configuration_has_29_classes_and_dice_alone() -> None:
    paper = Config.paper()
    assert len(paper.classes) == 29
    assert paper.bce_weight == 0
    assert (paper.backbone, paper.channels, paper.patch) == ("swin_unetr", (48,), (96, 96, 96))
