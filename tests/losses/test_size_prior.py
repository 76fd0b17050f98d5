"""The size prior: outliers are left out, the margin is free, the slope points the right way."""

import pytest
import torch

from fmtutor.losses.size_prior import relative_error, size_penalty, target_proportion


def test_an_outlier_of_five_cases_is_left_out() -> None:
    volumes = torch.tensor([100.0, 110.0, 90.0, 105.0, 400.0])
    assert float(target_proportion(volumes, 1000.0)) == pytest.approx(0.10125)


def test_of_fewer_than_five_cases_all_count() -> None:
    assert float(target_proportion(torch.tensor([100.0, 400.0]), 1000.0)) == pytest.approx(0.25)


@pytest.mark.parametrize("volumes", [[7.0] * 5, [0, 0, 0, 10, 10, 10], [0, 0, 0, 9, 10, 99]])
def test_some_case_is_always_kept(volumes: list[float]) -> None:
    assert bool(target_proportion(torch.tensor(volumes, dtype=torch.float32), 100.0).isfinite())


@pytest.mark.parametrize(("count", "query_ml"), [(0, 10.0), (3, 0.0)])
def test_no_support_or_no_query_is_one_clear_error(count: int, query_ml: float) -> None:
    with pytest.raises(ValueError, match="at least one volume and a query above 0 ml"):
        target_proportion(torch.ones(count), query_ml)


def test_the_error_is_relative_to_the_larger_share() -> None:
    target, found = torch.tensor([0.2, 0.1, 0.0, 0.3]), torch.tensor([0.1, 0.2, 0.0, 0.3])
    assert relative_error(target, found).tolist() == pytest.approx([0.5, -0.5, 0.0, 0.0])


@pytest.mark.parametrize(("share", "penalty"), [(0.1, 0.0), (0.13, 0.0), (0.2, 0.02), (0.05, 0.02)])
def test_within_the_margin_a_size_costs_nothing(share: float, penalty: float) -> None:
    probability = torch.full((1, 1, 2, 2, 2), share)
    assert float(size_penalty(probability, torch.tensor(0.1))) == pytest.approx(penalty, abs=1e-6)


@pytest.mark.parametrize(("logit", "sign"), [(2.0, 1), (-6.0, -1)])
def test_a_step_moves_the_size_towards_the_target(logit: float, sign: int) -> None:
    logits = torch.full((1, 1, 4, 4, 4), logit, requires_grad=True)
    size_penalty(logits.sigmoid(), torch.tensor(0.2)).backward()
    assert logits.grad is not None
    assert bool((sign * logits.grad > 0).all())
