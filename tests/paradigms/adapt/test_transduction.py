"""Training for one query: which steps ask it, what they move, and that a shared half is exact."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fmtutor.core.seeds import seed_everything, torch_rng
from fmtutor.data.few_shot import FewShotBatch
from fmtutor.engine.windows import Windows
from fmtutor.losses.size_prior import MARGIN, WEIGHT, relative_error, size_penalty
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt import METHODS, adaptation
from fmtutor.paradigms.adapt.method import step_nothing
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, adapted
from fmtutor.paradigms.adapt.training import Schedule, train
from fmtutor.paradigms.adapt.transduction import (
    Query,
    Transduction,
    begin,
    query_features,
    transduce,
)

FEATURES, SIDE, SHOTS = 4, 6, 3
BLACK_BOX = ("linear_probe", "mlp_adapter", "spatial_adapter")


def features_of(number: int, *, other: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return features whose first channel tells a structure of half the patch.

    The last channel is level: what only a query shows.
    """
    noise = torch.randn(1, FEATURES, SIDE, SIDE, SIDE, generator=torch_rng("features", number))
    target = torch.zeros(1, 1, SIDE, SIDE, SIDE, dtype=torch.bool)
    target[:, :, : SIDE // 2] = True
    noise[:, :1] += 2.0 * target
    noise[:, -1] = other
    return noise, target


def batches(step: int) -> FewShotBatch:
    return FewShotBatch(*features_of(step % SHOTS))


def query(share: float) -> Query:
    return Query(features_of(99, other=4.0)[0], torch.tensor(share))


def network(method: str) -> FewShotNet:
    seed_everything(0)
    return adapted(GenesisUNet(width=FEATURES), Spec(method=method))


def asked(method: str = "linear_probe", *, epochs: int = 4, weight: float = WEIGHT) -> Transduction:
    schedule = Schedule(shots=SHOTS, steps=epochs * SHOTS, lr_scale=30.0, stop=False)
    return Transduction(spec=Spec(method=method), batches=batches, schedule=schedule, weight=weight)


def test_the_second_half_has_one_step_an_epoch_on_the_query() -> None:
    found = [asked(epochs=4).supervised(step) for step in range(asked(epochs=4).steps)]
    assert found == [0, 1, 2, 3, 4, 5, 6, 7, 8, None, 9, 10, 11, None]


@pytest.mark.parametrize(("epochs", "on_query"), [(100, 50), (5, 3), (2, 1)])
def test_it_is_half_of_the_epochs_and_every_supervised_step_is_there(
    epochs: int, on_query: int
) -> None:
    plan = asked(epochs=epochs)
    found = [plan.supervised(step) for step in range(plan.steps)]
    assert [number for number in found if number is not None] == list(range(epochs * SHOTS))
    assert found.count(None) == on_query
    assert None not in found[: plan.shared]


def test_a_batch_of_the_query_gets_the_penalty_and_others_dice() -> None:
    seen, net = query(0.01), network("linear_probe")
    plan = asked()
    on_query, weights = (9, 13), []  # steps of four epochs
    for record in transduce(net, plan, seen):
        if record.step + 1 in on_query:
            weights.append(copy.deepcopy(net))
        if record.step in on_query:
            with torch.no_grad():
                probability = torch.sigmoid(weights[-1].head(seen.features))
            assert record.loss == pytest.approx(float(size_penalty(probability, seen.target)))
            assert record.loss > 0
    assert len(weights) == 2


def test_a_first_half_gone_on_with_is_the_training_in_one(tmp_path: Path) -> None:
    for method in BLACK_BOX:
        plan, start = asked(method), network(method)
        shared = copy.deepcopy(start)
        first = [record.loss for record in begin(shared, plan, tmp_path / method)]
        assert len(first) == plan.shared == 6
        for share in (0.05, 0.9):
            plain, gone_on = copy.deepcopy(start), copy.deepcopy(shared)
            wanted = [record.loss for record in transduce(plain, plan, query(share))]
            rest = transduce(gone_on, plan, query(share), begun=tmp_path / method)
            assert [*first, *(record.loss for record in rest)] == wanted
            assert_equal(plain.state_dict(), gone_on.state_dict())


def test_the_first_half_does_not_depend_on_how_much_the_size_counts(tmp_path: Path) -> None:
    start = network("mlp_adapter")
    list(begin(copy.deepcopy(start), asked("mlp_adapter", weight=5.0), tmp_path))
    plan = asked("mlp_adapter", weight=0.1)
    plain, gone_on = copy.deepcopy(start), copy.deepcopy(start)
    list(transduce(plain, plan, query(0.1)))
    list(transduce(gone_on, plan, query(0.1), begun=tmp_path))
    assert_equal(plain.state_dict(), gone_on.state_dict())


def test_without_weight_the_query_changes_nothing() -> None:
    nets = [network("spatial_adapter") for _ in range(3)]
    for net, share, weight in zip(nets, (0.01, 0.9, 0.01), (0.0, 0.0, 1.0), strict=True):
        list(transduce(net, asked("spatial_adapter", weight=weight), query(share)))
    assert_equal(nets[0].state_dict(), nets[1].state_dict())
    assert not torch.equal(nets[0].classifier.weight, nets[2].classifier.weight)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_the_penalty_moves_the_size_into_the_margin(share: float) -> None:
    """Half of the query looks like the structure; the prior says a tenth, or nine tenths."""
    errors = {}
    for weight in (0.0, WEIGHT):
        net = network("linear_probe")
        list(transduce(net, asked(epochs=40, weight=weight), query(share)))
        with torch.no_grad():
            found = torch.sigmoid(net.head(query(share).features)).mean()
        errors[weight] = abs(float(relative_error(torch.tensor(share), found)))
    assert errors[0.0] > MARGIN + 0.1
    assert errors[WEIGHT] < MARGIN + 0.02


@pytest.mark.parametrize("method", BLACK_BOX)
def test_adapter_and_head_move_and_the_backbone_does_not(method: str) -> None:
    net = network(method)
    before = copy.deepcopy(net.state_dict())
    list(transduce(net, asked(method), query(0.1)))
    moved = {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {name for name in before if not name.startswith("backbone.")}
    assert not net.training


def test_before_the_query_comes_it_is_the_training_of_the_tables() -> None:
    """Of as many steps: a longer training's cosine falls later."""
    plan, plain, ours = asked(epochs=2), network("linear_probe"), network("linear_probe")
    schedule = replace(plan.schedule, steps=plan.steps)
    records = zip(
        train(plain, plan.spec, batches, schedule, from_features=True),
        transduce(ours, plan, query(0.1)),
        strict=True,
    )
    pairs = [(a.loss, b.loss) for a, b in records]
    assert all(a == b for a, b in pairs[: plan.shared + SHOTS])
    assert pairs[-1][0] != pairs[-1][1]


def test_no_black_box_method_has_a_step_of_its_own_after_the_optimisers() -> None:
    ours = [how for how in map(adaptation, METHODS) if how.family == "black-box"]
    assert {method.name for method in ours} == set(BLACK_BOX)
    assert all(method.after_step is step_nothing for method in ours)


@pytest.mark.parametrize("method", ["bitfit", "full_fine_tune", "zero_shot"])
def test_a_method_that_is_no_adapter_behind_the_backbone_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match=rf"only a black-box method.*'{method}'; take linear_pro"):
        asked(method)


@pytest.mark.parametrize(
    ("steps", "stop", "said"),
    [(12, True, "got stop=True; set stop=False"), (13, False, "got 13 steps in epochs of 3"),
     (3, False, "at least two whole epochs, got 3")],
)  # fmt: skip
def test_a_schedule_that_queries_cannot_share_is_refused(steps: int, stop: bool, said: str) -> None:
    schedule = Schedule(shots=SHOTS, steps=steps, stop=stop)
    with pytest.raises(ValueError, match=said):
        Transduction(spec=Spec(method="linear_probe"), batches=batches, schedule=schedule)


def test_going_on_from_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a folder of `begin` holds checkpoint\.pt"):
        list(transduce(network("linear_probe"), asked(), query(0.1), begun=tmp_path))


def test_a_network_of_several_structures_is_refused() -> None:
    net = adapted(GenesisUNet(width=FEATURES), Spec(method="linear_probe"), outputs=3)
    with pytest.raises(ValueError, match="about one structure, got a head of 3 outputs; teach one"):
        next(transduce(net, asked(), query(0.1)))


def test_a_step_on_a_query_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="from step 6 on a training asks the query, got none"):
        asked().batch(9, None)


def test_features_of_a_volume_are_blended_over_its_windows_and_pooled() -> None:
    windows = Windows((13, 8, 8), (8, 8, 8), overlap=0.5)
    volume = torch.randn(2, 13, 8, 8, generator=torch_rng("volume"))
    crops = [windows.crop(volume, number) for number in range(len(windows))]
    found = query_features(windows, crops)
    assert found.shape == (1, 2, 7, 4, 4)  # what agrees in all windows stays as it is
    torch.testing.assert_close(found[0, :, 0, 0, 0], volume[:, :2, :2, :2].mean((1, 2, 3)))
    torch.testing.assert_close(found[0, :, -1, 0, 0], volume[:, 12, :2, :2].mean((1, 2)))


def assert_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
