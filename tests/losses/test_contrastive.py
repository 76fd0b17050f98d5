"""NT-Xent against its written sum, and the three terms of the pretext loss."""

import math

import pytest
import torch

from fmtutor.losses.contrastive import TERMS, nt_xent, pretext_loss, pretext_terms


def written_out(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    """The sum of the definition, term by term."""
    z = [row / row.norm() for row in (*first, *second)]
    count, total = len(z), 0.0
    for i in range(count):
        partner = (i + count // 2) % count
        others = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in range(count) if k != i)
        total -= math.log(math.exp(float(z[i] @ z[partner]) / temperature) / others)
    return total / count


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_nt_xent_is_its_definition(temperature: float) -> None:
    first, second = torch.randn(2, 3, 7)
    loss = nt_xent(first, second, temperature=temperature)
    assert float(loss) == pytest.approx(written_out(first, second, temperature), rel=1e-5)


def test_only_the_direction_of_the_features_counts() -> None:
    first, second = torch.randn(2, 3, 7)
    assert torch.allclose(nt_xent(5 * first, 0.1 * second), nt_xent(first, second))


def test_views_that_are_all_alike_cost_the_log_of_the_number_of_others() -> None:
    alike = torch.ones(4, 6)
    assert float(nt_xent(alike, alike)) == pytest.approx(math.log(7))


def test_partners_alike_and_crops_apart_cost_least() -> None:
    apart = torch.eye(3)
    right, wrong = nt_xent(apart, apart), nt_xent(apart, apart.roll(1, 0))
    assert float(right) == pytest.approx(math.log(1 + 4 * math.exp(-2)))
    assert float(wrong) > float(right) + 1


def test_one_crop_alone_teaches_nothing() -> None:
    first = torch.randn(1, 6, requires_grad=True)
    loss = nt_xent(first, torch.randn(1, 6))
    loss.backward()
    assert float(loss.detach()) == 0
    assert first.grad is not None
    assert not first.grad.any()


def answers() -> dict[str, torch.Tensor]:
    return {
        "rotation": torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0]] * 2),
        "contrast": torch.eye(2).repeat(2, 1),
        "reconstruction": torch.full((4, 1, 2, 2, 2), 0.25),
    }


def terms_of(*names: str) -> dict[str, torch.Tensor]:
    given = {name: value for name, value in answers().items() if name in names}
    truth = torch.tensor([0, 1, 0, 1])
    return pretext_terms(given, rotation=truth, target=torch.zeros(4, 1, 2, 2, 2))


def test_each_term_is_the_loss_of_its_task() -> None:
    terms = terms_of(*TERMS)
    assert tuple(terms) == TERMS
    assert float(terms["rotation"]) < 1e-3
    assert float(terms["contrast"]) == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert float(terms["reconstruction"]) == 0.25


def test_a_task_that_was_not_answered_has_no_term() -> None:
    assert set(terms_of("contrast")) == {"contrast"}
    assert set(terms_of("rotation", "reconstruction")) == {"rotation", "reconstruction"}


def test_the_loss_is_the_weighted_sum() -> None:
    terms = terms_of("contrast", "reconstruction")
    loss = pretext_loss(terms, {"contrast": 2.0, "reconstruction": 4.0})
    assert torch.allclose(loss, 2 * terms["contrast"] + 1)
