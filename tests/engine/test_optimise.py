import pytest
import torch
from torch import nn

from fmtutor.core.configs import from_dict, to_dict
from fmtutor.engine.optimise import FitConfig, adamw, lr_factor, set_lr


def test_the_cosine_rises_linearly_and_falls_to_zero():
    config = FitConfig(steps=110, warmup_steps=10)
    factors = [lr_factor(config, step) for step in range(111)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[35] == pytest.approx(0.5 + 0.5 * 2**-0.5)
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0.0)


def test_the_cosine_equals_that_of_torch():
    config = FitConfig(steps=20, lr=0.3)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert 0.3 * lr_factor(config, step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_a_constant_schedule_stays_up_after_the_warm_up():
    config = FitConfig(steps=50, warmup_steps=1, schedule="constant")
    assert [lr_factor(config, step) for step in (0, 1, 49)] == [0.5, 1.0, 1.0]


def test_biases_and_norms_are_spared_from_decay():
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.InstanceNorm3d(2, affine=True))
    optimizer = adamw(model, FitConfig(weight_decay=0.1))
    decays = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    assert [decays[id(p)] for p in model.parameters()] == [0.1, 0.0, 0.0, 0.0]


def test_each_group_follows_the_schedule_from_its_own_peak():
    model = nn.Linear(2, 2)
    groups = [{"params": [model.weight], "lr": 0.2}, {"params": [model.bias]}]
    optimizer = adamw(model, FitConfig(lr=1.0), groups)
    assert set_lr(optimizer, 0.5) == 0.1
    assert set_lr(optimizer, 0.25) == 0.05
    assert optimizer.param_groups[1]["lr"] == 0.25


def test_the_configuration_survives_json():
    config = FitConfig(ema_decay=0.99, clip_norm=None)
    assert from_dict(FitConfig, to_dict(config)) == config
