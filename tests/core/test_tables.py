import pytest

from fmtutor.core.tables import lookup, unknown_name


def test_a_known_name_is_looked_up():
    assert lookup({"unet": 1, "vit": 2}, "vit", "network") == 2


def test_an_unknown_name_is_one_error_with_the_nearest_and_all_known_names():
    with pytest.raises(ValueError, match=r"unknown network 'unte'; did you mean unet\?") as error:
        lookup({"vit": 2, "unet": 1}, "unte", "network")
    assert "Known: unet, vit." in str(error.value)


def test_a_name_near_to_none_gets_no_suggestion():
    text = str(unknown_name("zzz", ["unet"], "network"))
    assert text == "unknown network 'zzz'. Known: unet."
