import pytest
import torch

from fmtutor.nets.universal_prompt import AgainstBackground, UniversalPrompt, prompted_unet


def test_logits_are_relative_to_the_background_and_start_from_the_prior() -> None:
    head = AgainstBackground(3, 2)
    x = torch.randn(1, 3, 2, 2, 2)
    z = torch.nn.functional.conv3d(x, head.weight, head.bias)
    torch.testing.assert_close(head(x), z[:, 1:] - z[:, :1])
    head.expect(0.1)
    start = head(torch.zeros_like(x)).sigmoid()
    torch.testing.assert_close(start, torch.full_like(start, 0.1))


def test_the_prompts_have_a_channel_per_task_on_the_grid_of_the_bottleneck() -> None:
    prompt = UniversalPrompt(8, 3, width=4, patch=(16, 8, 8), divisor=(4, 4, 2))
    assert prompt.volume.shape == (1, 3, 4, 2, 4)
    assert prompt(torch.randn(2, 8, 4, 2, 4)).shape == (2, 3, 4, 2, 4)


def test_images_of_another_size_and_patches_that_do_not_divide_are_refused() -> None:
    prompt = UniversalPrompt(8, 3, width=4, patch=(16, 8, 8), divisor=(4, 4, 2))
    with pytest.raises(ValueError, match=r"\(16, 8, 8\) voxels.*not \(16, 16, 8\)"):
        prompt(torch.randn(2, 8, 4, 4, 4))
    with pytest.raises(ValueError, match=r"multiples of \(4, 4, 2\), not \(16, 6, 8\)"):
        UniversalPrompt(8, 3, width=4, patch=(16, 6, 8), divisor=(4, 4, 2))


def test_only_unets_take_a_prompt() -> None:
    assert prompted_unet("half_unet3d", (4, 8), prompt_channels=1).out_channels == 4
    with pytest.raises(ValueError, match="'resnet3d'"):
        prompted_unet("resnet3d", (8,), prompt_channels=1)
