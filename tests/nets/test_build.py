import pytest

from fmtutor.nets import BACKBONES
from fmtutor.nets.build import SIZES, backbone


def test_every_backbone_of_the_table_can_be_named_in_a_configuration() -> None:
    assert set(SIZES) == set(BACKBONES)


@pytest.mark.parametrize("name", ["unet3d", "resnet3d", "segresnet", "swin_unetr"])
def test_the_first_number_sets_the_features_at_input_resolution(name: str) -> None:
    assert backbone(name, (24, 48)).out_channels == 24


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'unet'.*unet3d"):
        backbone("unet", (8, 16))
