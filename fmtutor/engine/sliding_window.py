"""A network run over a whole volume, window by window, with Gaussian blending (MONAI's)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.core.devices import Precision, autocast, best_device

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda logits: torch.softmax(logits, dim=1),
}


@torch.inference_mode()
def sliding_window(
    forward: Callable[[Tensor], Tensor],
    image: Float[Tensor, "1 C H W D"],
    *,
    patch: Sequence[int],
    overlap: float = 0.5,
    activation: str = "sigmoid",
    channels: Sequence[int] | None = None,
    batch_size: int = 1,
    device: torch.device | str | None = None,
    precision: Precision = "auto",
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "L H W D"]:
    """Return the blended probabilities of a volume of any size, on the CPU.

    Windows run on ``device``; the sum over windows is kept on the CPU, for the wanted channels
    only, so GPU memory does not depend on the volume and CPU memory is L x H x W x D values. An
    axis shorter than the patch is padded with 0 on both sides. Probabilities are blended, not
    logits: they are bounded, and so survive a 16-bit sum.

    Args:
        forward: (b, C, *patch) to logits (b, L', *patch).
        image: One normalised volume.
        patch: Window size along H, W, D.
        overlap: Share of a window that its neighbour covers too, in [0, 1).
        activation: "sigmoid" (classes may overlap) or "softmax" (over all channels).
        channels: Output channels wanted, in this order; None is all.
        batch_size: Windows run at a time.
        device: Where windows run; None is the best there is.
        precision: As in training.
        dtype: Of the sum and of the result; float16 halves the memory and costs about 1e-3.

    Raises:
        ValueError: The activation is unknown, or the patch or the overlap is out of range.
    """
    from monai.inferers import sliding_window_inference

    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}.")
    if len(patch) != 3 or min(patch) < 1:
        raise ValueError(f"patch must be three positive sizes along H, W, D, got {tuple(patch)}.")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be at least 0 and below 1, got {overlap}.")
    device = torch.device(device) if device is not None else best_device()
    wanted = None if channels is None else torch.tensor(list(channels), device=device)

    def probabilities(window: Tensor) -> Tensor:
        with autocast(precision, device):
            logits = forward(window.float())
        activated = ACTIVATIONS[activation](logits.float())
        if wanted is not None:
            activated = activated.index_select(1, wanted)
        return activated.to(dtype)

    blended = sliding_window_inference(
        image.to("cpu", dtype),  # MONAI sums in the dtype of its input
        tuple(patch),
        batch_size,
        probabilities,
        overlap=overlap,
        mode="gaussian",
        sw_device=device,
        device="cpu",
    )
    return blended[0]
