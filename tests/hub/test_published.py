import os
from pathlib import Path

import pytest
import torch
from monai.networks.nets.resnet import ResNet as MonaiResNet
from torch import Tensor

from fmtutor.hub import load
from fmtutor.nets.resnet3d import ResNetEncoder


def published_layout(depth: int = 10) -> dict[str, Tensor]:
    """Random weights under the names of MedicalNet's own files, built by MONAI's ResNet."""
    torch.manual_seed(0)
    sizes = {10: ("basic", [1, 1, 1, 1]), 50: ("bottleneck", [3, 4, 6, 3])}
    block, layers = sizes[depth]
    theirs = MonaiResNet(
        block,
        layers,
        [64, 128, 256, 512],
        n_input_channels=1,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
    )
    return {f"module.{key}": value for key, value in theirs.state_dict().items()}


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save({"state_dict": tensors, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("depth", [10, 50])
def test_every_tensor_of_the_published_layout_arrives(depth: int, tmp_path: Path) -> None:
    tensors = published_layout(depth)
    module = load(f"medicalnet-{depth}", saved(tmp_path / "resnet.pth", tensors))
    assert isinstance(module, ResNetEncoder)
    assert not module.training
    ours = module.state_dict()
    assert set(ours) == {key.removeprefix("module.") for key in tensors}
    assert all(torch.equal(ours[key.removeprefix("module.")], tensors[key]) for key in tensors)


def test_the_stem_and_first_stage_equal_monais_output_on_equal_weights(tmp_path: Path) -> None:
    tensors = published_layout()
    module = load("medicalnet-10", saved(tmp_path / "resnet.pth", tensors))
    theirs = MonaiResNet(
        "basic", [1, 1, 1, 1], [64, 128, 256, 512], n_input_channels=1, conv1_t_stride=2,
        feed_forward=False, bias_downsample=False,
    ).eval()  # fmt: skip
    theirs.load_state_dict({key.removeprefix("module."): value for key, value in tensors.items()})
    image = torch.randn(1, 1, 16, 24, 16)
    with torch.no_grad():
        ours = module(image)
        stem = theirs.act(theirs.bn1(theirs.conv1(image)))
        first = theirs.layer1(theirs.maxpool(stem))
        second = theirs.layer2(first)
    for mine, other in zip(ours[:3], (stem, first, second), strict=True):
        assert float((mine - other).abs().max() / other.abs().max()) < 5e-6


def test_bare_tensors_and_a_segmentation_head_are_accepted(tmp_path: Path) -> None:
    tensors = published_layout() | {"module.conv_seg.0.weight": torch.zeros(3)}
    bare = {key.removeprefix("module."): value for key, value in tensors.items()}
    torch.save(bare, tmp_path / "bare.pth")
    assert isinstance(load("medicalnet-10", tmp_path / "bare.pth"), ResNetEncoder)


def test_files_from_before_the_batch_counters_load(tmp_path: Path) -> None:
    old = {k: v for k, v in published_layout().items() if not k.endswith("num_batches_tracked")}
    assert isinstance(load("medicalnet-10", saved(tmp_path / "old.pth", old)), ResNetEncoder)


def test_everything_that_does_not_match_is_listed(tmp_path: Path) -> None:
    tensors = published_layout()
    del tensors["module.layer1.0.bn1.weight"]
    tensors["module.extra"] = torch.zeros(1)
    tensors["module.conv1.weight"] = torch.zeros(64, 2, 7, 7, 7)
    with pytest.raises(ValueError, match="must hold medicalnet-10") as error:
        load("medicalnet-10", saved(tmp_path / "resnet.pth", tensors))
    for part in ("missing: layer1.0.bn1.weight", "unexpected: extra", "conv1.weight is (64, 2"):
        assert part in str(error.value)


def test_another_depth_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "resnet.pth", published_layout(10))
    with pytest.raises(ValueError, match="must hold medicalnet-18"):
        load("medicalnet-18", path)


class Payload:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Payload()}, "evil.pth")
    with pytest.raises(ValueError, match="tensors and plain values"):
        load("medicalnet-10", "evil.pth")
    assert not Path("ran").exists()


def test_a_missing_file_and_an_unknown_name_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="MedicalNet"):
        load("medicalnet-10", tmp_path / "none.pth")
    with pytest.raises(ValueError, match="unknown published checkpoint"):
        load("medicalnet-11", tmp_path / "none.pth")
