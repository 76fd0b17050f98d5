"""The mask decoder: single mask and candidates, several questions an image, details."""

import pytest
import torch
from torch import Tensor

from fmtutor.nets.mask_decoder import CANDIDATES, Layers, MaskDecoder
from tests.golden.recipe import filled

GRIDS = [(3, 5), (2, 4, 3)]


def decoder(dims: int, **changes: object) -> MaskDecoder:
    given: dict = {"heads": 2, "hidden": 16, "quality_hidden": 8, **changes}
    model = MaskDecoder(16, dims, **given)
    model.load_state_dict(filled(model.state_dict()))
    return model.double()


def drawn_like(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def given(grid: tuple[int, ...], images: int = 1, times: int = 1) -> tuple[Tensor, ...]:
    """Return embedding, places, sparse tokens and dense map."""
    rows = images * times
    return (
        drawn_like(images, 16, *grid), drawn_like(1, 16, *grid), drawn_like(rows, 3, 16),
        drawn_like(rows, 16, *grid),
    )  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS)
def test_masks_are_four_times_as_fine_as_the_tokens(grid: tuple[int, ...]) -> None:
    model = decoder(len(grid))
    for candidates, count in ((False, 1), (True, CANDIDATES)):
        masks, quality = model(*given(grid, 2), candidates=candidates)
        assert masks.shape == (2, count, *(4 * size for size in grid))
        assert quality.shape == (2, count)


@pytest.mark.parametrize("grid", GRIDS)
def test_several_questions_of_an_image_are_answered_as_if_alone(grid: tuple[int, ...]) -> None:
    model = decoder(len(grid))
    embedding, place, sparse, dense = given(grid, images=2, times=3)
    masks, quality = model(embedding, place, sparse, dense, candidates=True)
    for row in range(6):
        image = row // 3
        alone, expected = model(
            embedding[image : image + 1], place, sparse[row : row + 1], dense[row : row + 1],
            candidates=True,
        )  # fmt: skip
        assert torch.allclose(masks[row], alone[0], atol=1e-12)
        assert torch.allclose(quality[row], expected[0], atol=1e-12)


def test_the_single_mask_and_the_candidates_have_parameters_of_their_own() -> None:
    model, inputs = decoder(2), given((3, 5))
    single, several = model(*inputs), model(*inputs, candidates=True)
    with torch.no_grad():
        model.hyper[0].layers[2].weight.mul_(2)
        model.iou_head.layers[2].bias[0] += 1
    assert not torch.allclose(model(*inputs)[0], single[0])
    assert torch.allclose(model(*inputs)[1], single[1] + 1)
    assert torch.equal(model(*inputs, candidates=True)[0], several[0])
    assert torch.equal(model(*inputs, candidates=True)[1], several[1])


def test_a_mask_is_linear_in_its_tokens_weights() -> None:
    model, inputs = decoder(3), given((2, 4, 3))
    before = model(*inputs)[0]
    with torch.no_grad():
        model.hyper[0].layers[2].weight.mul_(3)
        model.hyper[0].layers[2].bias.mul_(3)
    assert torch.allclose(model(*inputs)[0], 3 * before, atol=1e-10)


def test_details_are_added_once_an_image() -> None:
    model = decoder(2, details=(6, 4))
    embedding, place, sparse, dense = given((3, 5), images=2, times=2)
    details = [drawn_like(2, 6, 6, 10), drawn_like(2, 4, 12, 20)]
    masks, _ = model(embedding, place, sparse, dense, details=details)
    for row in range(4):
        image = slice(row // 2, row // 2 + 1)
        part = slice(row, row + 1)
        alone, _ = model(
            embedding[image], place, sparse[part], dense[part], details=[d[image] for d in details]
        )
        assert torch.allclose(masks[row], alone[0], atol=1e-12)
    for number in (0, 1):
        changed = [d + (n == number) for n, d in enumerate(details)]
        assert not torch.allclose(
            model(embedding, place, sparse, dense, details=changed)[0], masks, atol=1e-6
        )


def test_missing_details_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        decoder(2, details=(6, 4))(*given((3, 5)))


def test_perceptrons_end_without_activation() -> None:
    layers = Layers(3, 5, 2)
    x = drawn_like(4, 3).float()
    hidden = (x @ layers.layers[0].weight.T + layers.layers[0].bias).clamp_min(0)
    assert torch.allclose(layers(x), hidden @ layers.layers[1].weight.T + layers.layers[1].bias)
