import pytest
import torch

from fmtutor.data.batches import Batch
from fmtutor.data.regions import Protocol, Region, Vocabulary
from fmtutor.losses.declared import declared_softmax_loss
from fmtutor.losses.partial import partial_loss
from fmtutor.paradigms.partial.task_loss import (
    one_versus_rest,
    own_task_loss,
    shared_outputs,
    task_columns,
    tasks_of,
)

NESTED = Protocol("nested", (Region.of("liver", "liver", "lesion"), Region.of("lesion")))
APART = Protocol("apart", (Region.of("spleen"), Region.of("liver")))


def test_the_tasks_of_a_vocabulary_are_its_protocols_and_overlap_is_seen() -> None:
    tasks, exclusive = tasks_of(Vocabulary.per_protocol([NESTED, APART]), system="uniseg")
    assert tasks == (("nested/liver", "nested/lesion"), ("apart/spleen", "apart/liver"))
    assert exclusive == (False, True)
    assert task_columns(tasks, 1) == [2, 3]


def test_a_shared_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uniseg\.vocabulary"):
        tasks_of(Vocabulary.shared([APART]), system="uniseg")


def test_classes_of_one_name_share_an_output_and_no_task_reads_one_twice() -> None:
    tasks = (("a/liver", "a/lesion"), ("b/spleen", "b/liver", "b/colon"), ("c/colon", "c/spleen"))
    assert shared_outputs(tasks) == ((1, 0), (0, 1, 2), (2, 0))
    assert shared_outputs((("a/x",), ("b/y", "b/z"), ("c/w",))) == ((0,), (0, 1), (0,))


def test_a_task_that_comes_later_leaves_the_outputs_of_the_others() -> None:
    before = shared_outputs((("a/liver", "a/lesion"), ("b/spleen",)))
    tasks = (("a/liver", "a/lesion"), ("b/spleen",), ("c/spleen", "c/liver", "c/lesion"))
    after = shared_outputs(tasks, before)
    assert after[:2] == before == ((0, 1), (0,))
    assert after[2] == (0, 2, 1), "spleen and liver had the same output: the second gets another"


def test_the_sigmoid_of_one_versus_rest_is_the_softmax() -> None:
    z = torch.randn(2, 4, 2, 3, 2, dtype=torch.float64)
    assert torch.allclose(one_versus_rest(z).sigmoid(), z.softmax(1)[:, :-1])


def test_each_sample_has_the_loss_of_its_own_task_and_the_batch_their_mean() -> None:
    z, background = torch.randn(3, 4, 2, 3, 2), torch.randn(3, 1, 2, 3, 2)
    label = torch.randint(0, 3, (3, 2, 3, 2))
    target = torch.stack([label >= 1, label == 2, label == 1, label == 2], 1)
    task = torch.tensor([1, 0, 1])
    known = torch.tensor([[False, False, True, True], [True, True, False, False]])[task]
    batch = Batch(image=z[:, :1], target=target, known=known, task=task)
    loss = own_task_loss(z, background, batch, exclusive=(False, True), dice_weight=0.5)
    soft, rest = torch.tensor([0, 2]), torch.tensor([1])
    expected = 2 / 3 * declared_softmax_loss(
        z[soft], background[soft], target[soft], known[soft], dice_weight=0.5
    ) + 1 / 3 * partial_loss(z[rest], target[rest], known[rest], smooth="both", dice_weight=0.5)
    torch.testing.assert_close(loss, expected)
