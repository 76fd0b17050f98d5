import torch

from fmtutor.data.batches import Batch


def test_a_batch_moves_to_a_device_as_a_whole():
    batch = Batch(
        image=torch.zeros(2, 1, 4, 5, 6),
        target=torch.zeros(2, 3, 4, 5, 6, dtype=torch.bool),
        known=torch.ones(2, 3, dtype=torch.bool),
        task=torch.tensor([0, 1]),
    )
    moved = batch.to("meta")
    parts = [moved.image, moved.target, moved.known, moved.task]
    assert {part.device.type for part in parts} == {"meta"}
    assert batch.image.device.type == "cpu"
