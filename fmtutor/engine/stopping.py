"""When to stop without a validation set: the training loss stands still.

With five labelled cases there is none to spare. FSEFT watches the epoch's training loss: smoothed
over ten epochs, it must have fallen by a thousandth within the last twenty. The published rule
takes an absolute difference, so it says the same whether the loss is 0.5 or 0.05.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025; ``jusiro/fewshot-finetuning``.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class PlateauStop:
    """Watches one loss an epoch.

    Example:
        >>> stop = PlateauStop()
        >>> any(stop.after(0.5) for _ in range(31)), stop.after(0.5)
        (False, True)
    """

    window: int = 10
    """Epochs of the moving average."""
    patience: int = 20
    """Smoothed values that are looked back on."""
    delta: float = 1e-3
    """Least fall of the smoothed loss over them."""
    losses: list[float] = field(default_factory=list)
    """What was seen so far."""

    def __post_init__(self) -> None:
        if self.window < 1 or self.patience < 2:
            raise ValueError(
                f"window must be at least 1 and patience at least 2, got {self.window} and "
                f"{self.patience}; published are 10 and 20."
            )

    def after(self, loss: float) -> bool:
        """Take in the mean loss of an epoch; return whether to stop now."""
        self.losses.append(float(loss))
        if len(self.losses) <= self.patience + self.window + 1:
            return False
        smooth = self.smoothed
        return bool(smooth[-self.patience] - smooth[-1] < self.delta)

    @property
    def smoothed(self) -> np.ndarray:
        """The moving averages, one for each full window."""
        return np.convolve(self.losses, np.full(self.window, 1 / self.window), mode="valid")
