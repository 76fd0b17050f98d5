import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fmtutor.engine.checkpoint import load_state
from fmtutor.engine.fit import CHECKPOINT_FILE, FitConfig, NotFiniteError, fit, history_frame

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("killable_training.py")


def _load_script():
    spec = importlib.util.spec_from_file_location("killable_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tiny = _load_script()


def _train(config, folder=None, stop_after=None, **kwargs):
    model = tiny.network()
    records = []
    for record in fit(model, tiny.step, tiny.batches, config, folder=folder, **kwargs):
        records.append(record)
        if stop_after is not None and len(records) == stop_after:
            break
    return model, records


def _equal(one, other):
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def _start(folder):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], env=env)


def test_a_run_killed_at_a_random_moment_and_resumed_ends_with_the_same_weights(tmp_path):
    killed = tmp_path / "killed"
    process = _start(killed)
    history = killed / "history.jsonl"
    deadline = time.monotonic() + 120
    while not history.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    moment = random.SystemRandom().uniform(0.0, 0.5)
    time.sleep(moment)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before the kill"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the killed process had
    try:
        resumed, records = _train(tiny.CONFIG, killed)
        straight, _ = _train(tiny.CONFIG, tmp_path / "straight")
    finally:
        torch.set_num_threads(threads)
    assert _equal(resumed, straight), f"killed {moment:.3f} s after the first step"
    assert records[-1].step == tiny.CONFIG.steps - 1
    frames = history_frame(killed), history_frame(tmp_path / "straight")
    assert list(frames[0]["step"]) == list(range(tiny.CONFIG.steps))
    assert list(frames[0]["loss"]) == list(frames[1]["loss"])


@pytest.mark.parametrize("stop_after", [1, 7, 11])
def test_a_run_that_was_stopped_goes_on_from_its_last_checkpoint(tmp_path, stop_after):
    config = replace(tiny.CONFIG, steps=20)
    straight, expected = _train(config)
    _train(config, tmp_path, stop_after=stop_after)
    torch.rand(5)  # another state of the global generator than the run had
    resumed, records = _train(config, tmp_path)
    assert records[0].step == stop_after // 7 * 7
    assert _equal(resumed, straight)
    assert list(history_frame(tmp_path)["loss"]) == [record.loss for record in expected]


def test_a_line_cut_short_by_a_kill_is_dropped_from_the_history(tmp_path):
    config = replace(tiny.CONFIG, steps=10)
    _train(config, tmp_path, stop_after=8)
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"step": 8, "lo')
    (tmp_path / f".{CHECKPOINT_FILE}.x.part.pt").write_text("half")
    _train(config, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(10))
    assert not list(tmp_path.glob("*.part*")) + list(tmp_path.glob(".*"))


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path):
    config = replace(tiny.CONFIG, steps=5)
    first, _ = _train(config, tmp_path)
    again, records = _train(config, tmp_path)
    assert not records
    assert _equal(first, again)


def test_a_folder_of_another_configuration_is_refused_with_the_difference(tmp_path):
    _train(replace(tiny.CONFIG, steps=5), tmp_path)
    with pytest.raises(ValueError, match=r"lr was 0.01, is 0.5"):
        _train(replace(tiny.CONFIG, steps=5, lr=0.5), tmp_path)
    _train(replace(tiny.CONFIG, steps=5, prefetch=0, checkpoint_every=2), tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_brings_the_loss_down_in_either_precision(precision):
    config = FitConfig(steps=40, lr=3e-2, precision=precision)
    model, records = _train(config)
    first, last = (sum(r.loss for r in part) / 5 for part in (records[:5], records[-5:]))
    assert last < 0.7 * first
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_bf16_computes_in_bf16_and_hands_fp32_to_the_loss():
    seen = {}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv3d(1, 1, 3, padding=1)
            self.inner.register_forward_hook(lambda *call: seen.update(inner=call[2].dtype))

        def forward(self, image):
            return self.inner(image)

    def step(model, batch):
        out = model(batch.image)
        seen.update(outer=out.dtype)
        return out.square().mean()

    model = Net()
    list(fit(model, step, tiny.batches, FitConfig(steps=1, precision="bf16")))
    assert seen == {"inner": torch.bfloat16, "outer": torch.float32}
    assert not model._forward_hooks, "the model keeps nothing of the training loop"


def test_only_trainable_parameters_move_and_groups_have_their_own_rate():
    config = FitConfig(steps=3, lr=1e-2, schedule="constant", weight_decay=0.0, clip_norm=None)
    model = tiny.network()
    model[0].weight.requires_grad_(False)
    groups = [
        {"params": list(model[0].parameters())},
        {"params": list(model[4].parameters()), "lr": 0.0},
    ]
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    list(fit(model, tiny.step, tiny.batches, config, groups=groups))
    moved = {
        name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])
    }
    assert moved == {"0.bias"}


def test_gradients_are_clipped_to_the_norm_asked_for():
    norms = []

    def step(model, batch):
        return 1e3 * tiny.step(model, batch)

    model = tiny.network()
    for record in fit(model, step, tiny.batches, FitConfig(steps=1, clip_norm=0.5)):
        norms.append(record.grad_norm)
        left = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert norms[0] > 10
    assert float(left) == pytest.approx(0.5, rel=1e-3)


def test_with_ema_the_model_ends_with_the_average_and_not_with_the_last_step(tmp_path):
    config = FitConfig(steps=8, lr=1e-2, ema_decay=0.5, schedule="constant")
    model = tiny.network()
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for record in fit(model, tiny.step, tiny.batches, config, folder=tmp_path):
        decay = min(0.5, (1 + record.step) / (10 + record.step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
    last = load_state(tmp_path / CHECKPOINT_FILE)["model"]
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name])
    assert not torch.equal(model[4].weight, last["4.weight"])


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_nan_names_the_step_and_the_tasks_and_keeps_the_batch(tmp_path, where):
    def step(model, batch):
        loss = tiny.step(model, batch)
        if batch.task[0] != 2:
            return loss
        return loss * float("nan") if where == "loss" else loss + (loss - loss).abs().sqrt()

    with pytest.raises(NotFiniteError, match=rf"{where}.*step 2, tasks \[2, 1\]") as caught:
        list(fit(tiny.network(), step, tiny.batches, FitConfig(steps=5), folder=tmp_path))
    (saved,) = tmp_path.glob("not_finite_*.pt")
    assert str(saved) in str(caught.value)
    assert torch.equal(load_state(saved)["image"], tiny.batches(2).image)


def test_a_wrong_option_is_refused():
    for wrong in ({"steps": 0}, {"schedule": "linear"}, {"precision": "fp8"}, {"ema_decay": 1.0}):
        # The shape checks of the tests meet a wrong literal first, with a TypeError.
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            FitConfig(**wrong)
    frozen = tiny.network().requires_grad_(False)
    with pytest.raises(ValueError, match="unfreeze"):
        list(fit(frozen, tiny.step, tiny.batches, FitConfig(steps=1)))


def test_the_time_waiting_for_data_is_part_of_the_time_of_a_step():
    def slow(i):
        time.sleep(0.03)
        return tiny.batches(i)

    records = list(fit(tiny.network(), tiny.step, slow, FitConfig(steps=3, prefetch=0)))
    assert all(0.03 <= record.data_seconds <= record.seconds for record in records)
