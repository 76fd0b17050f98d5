import random

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.engine.checkpoint import (
    load_state,
    load_weights,
    rng_state,
    save_state,
    save_weights,
    set_rng_state,
)


def _network(width=4):
    return nn.Sequential(nn.Conv3d(1, width, 3), nn.BatchNorm3d(width))


def _draws():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(2)


def test_the_global_generators_go_on_from_a_saved_state(tmp_path):
    random.gauss(0, 1), np.random.randn()  # both hold back a second value, which is state too
    save_state(tmp_path / "s.pt", {"rng": rng_state()})
    *first, tensor = _draws()
    _draws()
    set_rng_state(load_state(tmp_path / "s.pt")["rng"])
    *again, same = _draws()
    assert first == again
    assert torch.equal(tensor, same)


def test_a_damaged_state_is_one_clear_error(tmp_path):
    path = tmp_path / "s.pt"
    save_state(path, {"weights": torch.rand(100)})
    for damaged in (path.read_bytes()[:300], b"", b"not a state"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"s\.pt is not a readable training state"):
            load_state(path)


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 0.0), ("fp16", 1e-3)])
def test_weights_and_metadata_come_back(tmp_path, dtype, tolerance):
    model, other = _network(), _network()
    model[1].running_mean += 0.3
    model[1].num_batches_tracked += 70_000
    save_weights(model, tmp_path / "w.safetensors", dtype=dtype, metadata={"config": "{}"})
    assert load_weights(other, tmp_path / "w.safetensors") == {"config": "{}"}
    for name, tensor in model.state_dict().items():
        loaded = other.state_dict()[name]
        assert loaded.dtype == tensor.dtype
        torch.testing.assert_close(loaded, tensor, rtol=tolerance, atol=tolerance)


def test_fp16_halves_the_file(tmp_path):
    model = nn.Linear(200, 200)
    for dtype in ("fp16", "fp32"):
        save_weights(model, tmp_path / dtype, dtype=dtype)
    sizes = [(tmp_path / dtype).stat().st_size for dtype in ("fp16", "fp32")]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.01)


def test_a_weight_beyond_fp16_is_refused(tmp_path):
    model = nn.Linear(2, 2)
    model.bias.data[0] = 1e6
    with pytest.raises(ValueError, match=r"bias .* fp32"):
        save_weights(model, tmp_path / "w.safetensors", dtype="fp16")


def test_weights_of_another_network_are_refused_with_every_difference(tmp_path):
    save_weights(nn.Sequential(nn.Conv3d(1, 5, 3), nn.PReLU()), tmp_path / "w.safetensors")
    model = _network()
    before = model[0].weight.clone()
    with pytest.raises(ValueError, match="another network") as caught:
        load_weights(model, tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "missing: 1.bias, 1.num_batches_tracked, 1.running_mean, 1.running_var" in message
    assert "0.weight is (5, 1, 3, 3, 3), should be (4, 1, 3, 3, 3)" in message
    assert torch.equal(model[0].weight, before)
    save_weights(nn.Sequential(*_network(), nn.PReLU()), tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match=r"unexpected: 2\.weight"):
        load_weights(model, tmp_path / "more.safetensors")
