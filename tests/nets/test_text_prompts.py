"""What is said about a class."""

import pytest

from fmtutor.nets.text_prompts import PUBLISHED_TEMPLATE, TEMPLATES, spoken


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("liver", "liver"),
        ("kidney_left", "left kidney"),
        ("kidney_lesion_right", "right kidney lesion"),
        ("gluteus_maximus_right", "right gluteus maximus"),
        ("inferior_vena_cava", "inferior vena cava"),
        ("vertebrae_L1", "L1 vertebra"),
        ("vertebrae_T12", "T12 vertebra"),
        ("vertebrae", "vertebrae"),
        ("rib_left_1", "left first rib"),
        ("rib_right_12", "right twelfth rib"),
        ("ribs_left", "left ribs"),
        ("autochthon_left", "left autochthonous back muscle"),
        ("iliac_vena_right", "right iliac vein"),
        ("lung_upper_lobe_left", "left upper lobe of lung"),
        ("dk_precentral_left", "left precentral"),
        ("aal_vermis_1_2", "vermis 1 2"),
    ],
)
def test_a_name_is_spoken_with_its_side_first(name, words):
    assert spoken(name) == words


def test_a_name_without_letters_cannot_be_spoken():
    with pytest.raises(ValueError, match="needs letters"):
        spoken("12")


def test_every_template_has_one_place_for_the_class():
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert PUBLISHED_TEMPLATE in TEMPLATES
