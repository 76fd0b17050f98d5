import math

import pytest
import torch

from fmtutor.data.batches import Batch
from fmtutor.paradigms.partial import multitalent
from fmtutor.paradigms.partial.multitalent import Config, build, region_loss


def test_a_region_loss_equals_a_value_worked_by_hand() -> None:
    # Two samples of one voxel, one region, logits 0: BCE log 2 each, summed; over the batch
    # TP 0.5, P 1, T 1, so Dice is 1/2.
    batch = Batch(
        image=torch.zeros(2, 1, 1, 1, 1),
        target=torch.tensor([True, False]).reshape(2, 1, 1, 1, 1),
        known=torch.ones(2, 1, dtype=torch.bool),
        task=torch.zeros(2, dtype=torch.long),
    )
    loss = region_loss(torch.zeros(2, 1, 1, 1, 1), batch)
    assert float(loss) == pytest.approx(2 * math.log(2) + 0.5)


def test_deep_supervision_takes_every_level_but_the_deepest_in_training_alone() -> None:
    model = build(Config(classes=("a/liver",), channels=(4, 8, 8, 8)))
    image = torch.zeros(1, 1, 16, 16, 8)
    assert [tuple(z.shape[2:]) for z in model(image)] == [(16, 16, 8), (8, 8, 4)]
    assert model.eval()(image).shape == (1, 1, 16, 16, 8)


def test_deep_supervision_without_decoder_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="deep_supervision=False"):
        build(Config(backbone="resnet3d", channels=(16,)))
    config = Config(backbone="resnet3d", channels=(16,), deep_supervision=False)
    assert isinstance(build(config), multitalent.MultiTalent)


def test_the_published_taxonomy_has_47_channels_and_three_spleens() -> None:
    names = Config.paper().classes
    assert len(names) == len(set(names)) == 47
    assert sum(name.endswith("/spleen") for name in names) == 3
