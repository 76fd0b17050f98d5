import pytest
import torch

from fmtutor.nets.prior_fusion import CrossAttention, PriorFusion


def _place(blocks: int = 2) -> PriorFusion:
    torch.manual_seed(0)
    return PriorFusion(16, classes=3, modalities=2, modality_tokens=2, blocks=blocks, head_width=8)


def test_attention_equals_a_softmax_worked_out_in_full() -> None:
    torch.manual_seed(0)
    attend = CrossAttention(16, 8)
    tokens, source = torch.randn(1, 3, 16), torch.randn(1, 5, 16)
    key, value = attend.key_value(attend.norm_source(source)).chunk(2, -1)
    query = attend.query(attend.norm_query(tokens))
    heads = []
    for part in (slice(0, 8), slice(8, 16)):
        weight = (query[..., part] @ key[..., part].transpose(1, 2) / 8**0.5).softmax(-1)
        heads.append(weight @ value[..., part])
    torch.testing.assert_close(attend(tokens, source), attend.out(torch.cat(heads, -1)))


def test_a_null_token_changes_nothing_for_the_image_or_the_other_tokens() -> None:
    place, features = _place(), torch.randn(1, 16, 4, 2, 2)
    modality = torch.tensor([1])
    fused, tasks, kind = place(features, torch.tensor([[0, 2]]), modality)
    filled, more, again = place(features, torch.tensor([[0, 2, 3, 3]]), modality)
    torch.testing.assert_close(filled, fused)
    torch.testing.assert_close(more[:, :2], tasks)
    torch.testing.assert_close(again, kind)


def test_a_token_that_is_asked_for_and_the_modality_reach_the_image() -> None:
    place, features = _place(), torch.randn(1, 16, 4, 2, 2)
    base = place(features, torch.tensor([[0]]), torch.tensor([0]))[0]
    assert not torch.allclose(place(features, torch.tensor([[0, 1]]), torch.tensor([0]))[0], base)
    assert not torch.allclose(place(features, torch.tensor([[0]]), torch.tensor([2]))[0], base)


def test_tables_have_a_null_row_and_an_unknown_modality() -> None:
    place = _place()
    assert tuple(place.task_table.shape) == (4, 16)
    assert tuple(place.modality_table.shape) == (3, 2, 16)


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_place_has_as_many_blocks_as_asked(blocks: int) -> None:
    assert len(_place(blocks).blocks) == blocks
