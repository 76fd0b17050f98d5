import pytest
import torch
from torch import nn

from fmtutor.data.batches import Batch
from fmtutor.paradigms.partial import suprem
from fmtutor.paradigms.partial.suprem import Config


class Constant(nn.Module):
    """A network whose logits are a parameter."""

    def __init__(self, logits: torch.Tensor, config: Config) -> None:
        super().__init__()
        self.config, self.logits = config, nn.Parameter(logits)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits


def batch_of(target: list[list[bool]], known: list[list[bool]], voxels: int = 1) -> Batch:
    shape = (len(target), len(target[0]), 1, 1, 1)
    return Batch(
        image=torch.zeros(len(target), 1, 1, 1, voxels),
        target=torch.tensor(target).reshape(shape).expand(*shape[:4], voxels).contiguous(),
        known=torch.tensor(known),
        task=torch.zeros(len(target), dtype=torch.long),
    )


def loss(batch: Batch, logits: torch.Tensor, **changes: str) -> float:
    classes = tuple("abcd"[: batch.target.shape[1]])
    return float(suprem.step(Constant(logits, Config(classes=classes, **changes)), batch).detach())


def test_cross_entropy_runs_over_all_classes_and_dice_over_those_present() -> None:
    # Logits 0: BCE ln 2 for every pair. Dice of a present class of 2 voxels: 1 - 2*1/(1+2+1).
    batch = batch_of([[True, False, False]], [[True, True, True]], voxels=2)
    zeros = torch.zeros(1, 3, 1, 1, 2)
    assert loss(batch, zeros) == pytest.approx(0.6931472 + 0.5)
    sure = zeros.clone()
    sure[:, 1] = -20  # an absent class answered rightly: less BCE, the same Dice
    assert loss(batch, sure) == pytest.approx(0.6931472 * 2 / 3 + 0.5)


def test_a_patch_without_any_class_has_no_dice_term() -> None:
    batch = batch_of([[False, False]], [[True, True]])
    assert loss(batch, torch.zeros(1, 2, 1, 1, 1)) == pytest.approx(0.6931472)


def test_a_class_that_is_unknown_after_all_is_skipped() -> None:
    batch = batch_of([[True, True]], [[True, False]])
    model = Constant(torch.zeros(1, 2, 1, 1, 1), Config(classes=("a", "b")))
    suprem.step(model, batch).backward()
    assert model.logits.grad is not None
    assert float(model.logits.grad[0, 1]) == 0
    assert float(model.logits.grad[0, 0]) < 0


def test_the_published_dice_keeps_a_floor_that_the_dice_of_the_patch_does_not_have() -> None:
    target = torch.zeros(1, 1, 4, 2, 2, dtype=torch.bool)
    target[:, :, 0] = True  # in one slice of four
    batch = Batch(
        image=torch.zeros(1, 1, 4, 2, 2), target=target, known=torch.ones(1, 1, dtype=torch.bool),
        task=torch.zeros(1, dtype=torch.long),
    )  # fmt: skip
    perfect = torch.where(target, 30.0, -30.0)
    assert loss(batch, perfect) == pytest.approx(1 - 8 / 9, abs=1e-4)
    assert loss(batch, perfect, dice="slice") == pytest.approx(3 / 4 + (1 - 8 / 9) / 4, abs=1e-4)


def test_the_published_network_has_25_plain_outputs_and_the_size_of_the_released_one() -> None:
    paper = Config.paper()
    assert len(paper.classes) == 25
    assert paper.classes[:2] == ("aorta", "gallbladder")
    assert (paper.backbone, paper.patch, paper.dice) == ("segresnet", (96, 96, 96), "slice")
    parameters = sum(p.numel() for p in suprem.build(paper).parameters())
    assert parameters == pytest.approx(4.70e6, rel=2e-3)


def test_an_unknown_form_of_dice_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match=r"dice must be one of.*'batch'"):
        Config(dice="batch")
