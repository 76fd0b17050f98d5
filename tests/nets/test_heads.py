"""Heads: linear per voxel, one per task."""

import pytest
import torch

from fmtutor.nets.heads import LinearHead, TaskHeads

FEATURES = torch.randn(3, 4, 2, 3, 2, generator=torch.Generator().manual_seed(0))


def test_linear_head_is_a_matrix_product_at_each_voxel() -> None:
    head = LinearHead(4, 5)
    logits = head(FEATURES)
    by_hand = head.weight[:, :, 0, 0, 0] @ FEATURES[1, :, 1, 2, 0] + head.bias
    torch.testing.assert_close(logits[1, :, 1, 2, 0], by_hand)
    assert sum(p.numel() for p in LinearHead(48, 1).parameters()) == 49


def test_prior_is_the_probability_at_the_start_where_features_are_zero() -> None:
    logits = LinearHead(4, 2, prior=0.01)(torch.zeros(1, 4, 1, 1, 1))
    torch.testing.assert_close(logits.sigmoid(), torch.full((1, 2, 1, 1, 1), 0.01))
    with pytest.raises(ValueError, match="prior must lie in"):
        LinearHead(4, 2, prior=1.0)


def test_a_mixed_batch_is_split_into_its_tasks() -> None:
    heads = TaskHeads(4, (2, 5, 1))
    parts = list(heads.split(FEATURES, torch.tensor([2, 0, 2])))
    assert [(task, rows.tolist(), tuple(z.shape[:2])) for task, rows, z in parts] == [
        (0, [1], (1, 2)),
        (2, [0, 2], (2, 1)),
    ]
    torch.testing.assert_close(parts[1][2], heads(FEATURES, 2)[[0, 2]])


def test_a_task_that_is_not_in_the_batch_gets_no_gradient() -> None:
    heads = TaskHeads(4, (2, 5, 1))
    sum(z.sum() for _, _, z in heads.split(FEATURES, torch.tensor([2, 0, 2]))).backward()
    assert heads.heads[1].weight.grad is None
    assert heads.heads[0].weight.grad is not None


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="task must be 0 to 1"):
        TaskHeads(4, (2, 5))(FEATURES, 2)
