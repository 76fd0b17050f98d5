"""The counts of every method at full size are the integers of the published tables and code."""

from dataclasses import replace
from functools import cache

import pytest
from torch import nn

from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import SwinUnetr
from fmtutor.paradigms.adapt import METHODS, adaptation
from fmtutor.paradigms.adapt.ledger import AdaptationCost, cost_of, cost_table, ledger_rows
from fmtutor.paradigms.adapt.method import Preset
from fmtutor.paradigms.adapt.network import FewShotNet, Kind
from fmtutor.paradigms.adapt.spec import Spec, adapted, decoder_patterns, groups

HEAD = {"swin": 49, "unet": 65}

PUBLISHED = [
    ("swin", "linear_probe", "faithful", 0),
    ("unet", "linear_probe", "faithful", 0),
    ("swin", "spatial_adapter", "faithful", 124_416),
    ("unet", "spatial_adapter", "faithful", 221_184),
    ("swin", "mlp_adapter", "faithful", 4_608),
    ("unet", "mlp_adapter", "faithful", 8_192),
    ("swin", "bitfit", "faithful", 210_690),
    ("swin", "bitfit", "corrected", 12_960),
    ("unet", "bitfit", "faithful", 2_880),
    ("swin", "affine", "faithful", 17_280),
    ("unet", "affine", "faithful", 2_880),
    ("swin", "lora", "faithful", 69_120),
    ("swin", "adaptformer", "faithful", 47_648),
    ("unet", "cnn_adapter", "faithful", 260_128),
    ("unet", "cnn_adapter", "corrected", 260_128),
    ("swin", "last_block", "faithful", 209_664),
    ("swin", "decoder_fine_tune", "faithful", 19_597_824),
    ("unet", "decoder_fine_tune", "faithful", 12_045_824),
    ("swin", "full_fine_tune", "faithful", 62_186_610),
    ("unet", "full_fine_tune", "faithful", 19_073_600),
]
"""Backbone, method, preset, trained parameters without the head."""

OURS = [
    ("swin", "conv_lora", 253_168 + 264_192 + 30_528),
    ("unet", "conv_lora", 106_092 + 197_120 + 32_256),
    ("swin", "dora", 69_120 + 4_320),
    ("swin", "arena", 92_288),
    ("swin", "ssf", 57_024),
    ("unet", "ssf", 6_464),
    ("swin", "residual_adapter", 50_080),
    ("unet", "residual_adapter", 36_144),
    ("unet", "last_block", 573_952),
]
"""Methods without a published count; Conv-LoRA as encoder + decoder + transposed convolutions."""


@cache
def base(kind: Kind) -> nn.Module:
    full_size = {"swin": SwinUnetr, "unet": GenesisUNet}
    return full_size[kind]().to("meta")


@cache
def cost(
    kind: Kind, method: str, preset: Preset = "faithful", *, decoder: bool = False
) -> AdaptationCost:
    return cost_of(base(kind), Spec(method=method, preset=preset, decoder=decoder))


@cache
def rows_of(kind: Kind) -> list[AdaptationCost]:
    return ledger_rows(base(kind))


@pytest.mark.parametrize(("kind", "method", "preset", "count"), PUBLISHED)
def test_the_count_is_the_published_one(
    kind: Kind, method: str, preset: Preset, count: int
) -> None:
    row = cost(kind, method, preset)
    assert (row.trained - row.in_head, row.in_head) == (count, HEAD[kind])


@pytest.mark.parametrize(("kind", "method", "count"), OURS)
def test_the_count_of_the_others_is_what_their_shapes_give(
    kind: Kind, method: str, count: int
) -> None:
    assert cost(kind, method).trained - HEAD[kind] == count


def test_zero_shot_trains_nothing() -> None:
    row = cost("swin", "zero_shot")
    assert (row.trained, row.in_head, row.share, row.file_kib) == (0, 0, 0.0, 0.0)


def test_lora_with_the_decoder_is_not_small() -> None:
    row = cost("swin", "lora", decoder=True)
    assert row.trained == 69_120 + 19_597_824 + 49
    assert row.in_decoder == 19_597_824
    assert round(row.trained / 1e6, 2) == 19.67
    assert round(row.share, 3) == 0.316


def test_the_rounded_sizes_of_the_talk() -> None:
    """19.08 M of the U-Net is the published network with its 25 classes: ours has one."""
    assert round(cost("swin", "full_fine_tune").trained / 1e6, 2) == 62.19
    assert round(cost("swin", "decoder_fine_tune").trained / 1e6, 2) == 19.6
    unet = cost("unet", "full_fine_tune").trained
    assert (unet, round((unet - 65 + 25 * 65) / 1e6, 2)) == (19_073_665, 19.08)


@pytest.mark.parametrize("kind", ["swin", "unet"])
def test_the_rows_are_those_of_the_table_of_methods(kind: Kind) -> None:
    placed = [name for name in METHODS if kind in adaptation(name).kinds]
    assert list(dict.fromkeys(row.method for row in rows_of(kind))) == placed
    both = [name for name in placed if adaptation(name).stacks_on_decoder]
    assert [row.method for row in rows_of(kind) if row.decoder] == both
    assert all(row.in_head + row.in_decoder <= row.trained for row in rows_of(kind))


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize(("kind", "method"), [("swin", "lora"), ("unet", "bitfit")])
def test_the_optimiser_gets_exactly_what_is_trained(kind: Kind, method: str, decoder: bool) -> None:
    spec = Spec(method=method, decoder=decoder, preset="corrected")
    net = adapted(base(kind), spec)
    held = [p for group in groups(net, spec) for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in net.parameters() if p.requires_grad}
    assert sum(p.numel() for p in held) == cost(kind, method, "corrected", decoder=decoder).trained


def test_titles_are_those_of_each_table() -> None:
    titles = {kind: {row.method: row.title for row in rows_of(kind)} for kind in HEAD}
    assert (titles["swin"]["affine"], titles["unet"]["affine"]) == ("Affine-LN", "Affine-BN")
    assert (titles["swin"]["bitfit"], titles["unet"]["bitfit"]) == ("BitFit", "Bias")
    assert titles["unet"]["cnn_adapter"] == "CNN-Adapter"


def test_the_table_reads_as_markdown() -> None:
    row = AdaptationCost(
        method="lora", title="LoRA", decoder=False, trained=69_169, in_head=49, in_decoder=0,
        share=0.00111, file_kib=270.2,
    )  # fmt: skip
    lines = cost_table([row, replace(row, decoder=True)]).splitlines()
    assert lines[2] == "| LoRA | frozen | 69,169 | 49 | 0 | 0.111% | 270.2 |"
    assert lines[3].startswith("| LoRA | trained |")


def test_nothing_of_the_base_is_shared_with_the_adapted_network() -> None:
    backbone = GenesisUNet(width=4)
    net = adapted(backbone, Spec(method="bitfit"))
    assert {id(p) for p in backbone.parameters()}.isdisjoint(id(p) for p in net.parameters())
    assert all(p.requires_grad for p in backbone.parameters())


def test_the_decoder_is_what_the_published_code_calls_so() -> None:
    names = decoder_patterns(FewShotNet(base("swin")))
    assert names == [f"backbone.decoder{i}" for i in (5, 4, 3, 2, 1)]
