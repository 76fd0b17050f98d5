"""The card of a self-supervised encoder: what its answers are worth, and what costs nothing."""

import numpy as np
import torch

from fmtutor.bench import selfsup_ship as ship
from fmtutor.data.cases import Case
from fmtutor.data.pretext import PretextStream
from fmtutor.paradigms.selfsup import swin_ssl


def images(count=2, side=(80, 48, 48)):
    rng = np.random.default_rng(0)
    return [
        Case(
            name=f"noise{n}", image=rng.normal(0, 80, side).astype(np.float32),
            affine=np.diag([5.0, 5.0, 5.0, 1.0]),
        )
        for n in range(count)
    ]  # fmt: skip


class Perfect(torch.nn.Module):
    """Answers every pretext task with the truth of one batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def forward(self, views):
        crops = len(views) // 2
        return {
            "rotation": torch.eye(4)[self.batch.rotation],
            "contrast": torch.eye(crops).repeat(2, 1),
            "reconstruction": self.batch.target,
        }


def test_a_perfect_answer_scores_perfectly():
    config = swin_ssl.Config.tiny()
    batch = PretextStream([images()], config.views, seed=1)(0)
    rotation, contrast, restored, untouched = ship.judged(Perfect(batch), batch)
    assert (rotation, contrast, restored) == (1.0, 1.0, 0.0)
    assert untouched > 0


def test_the_other_view_must_be_the_nearest_of_all():
    two = torch.tensor([[1.0, 0], [0, 1], [1, 0.1], [1, 1]])  # the last is nearer to the third
    assert ship.partner_found(two).tolist() == [True, True, True, False]


def test_an_untrained_network_is_scored_beside_chance_and_the_untouched_view():
    config = swin_ssl.Config.tiny()
    row = ship.answered(swin_ssl.build(config), images(), batches=2)
    assert (row["chance_rotation"], row["chance_contrast"]) == (0.25, round(1 / 3, 4))
    assert row["views"] == 8
    assert 0 < row["untouched"] < 1
