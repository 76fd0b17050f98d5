"""The training loop: a generator that yields one `Record` a step and knows no system.

Progress bars, plots, validation and early stopping are the caller's: they stand in the body of
the ``for`` loop over `fit`. Devices and several processes are Hugging Face Accelerate's business.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import convert_to_fp32, gather_object
from torch import Tensor, nn

from fmtutor.core.devices import autocast, autocast_dtype, use_channels_last
from fmtutor.core.seeds import seed_everything
from fmtutor.engine.checkpoint import load_state, rng_state, save_state, set_rng_state
from fmtutor.engine.history import Record, append_record, history_frame, truncate_history
from fmtutor.engine.optimise import FitConfig, RunningAverage, adamw, lr_factor, set_lr
from fmtutor.engine.prefetch import prefetched

__all__ = ["FitConfig", "NotFiniteError", "Record", "fit", "history_frame"]

CHECKPOINT_FILE = "checkpoint.pt"
FREE_TO_CHANGE = ("checkpoint_every", "prefetch")  # they cannot move a weight
Step = Callable[[nn.Module, Any], Tensor]


class NotFiniteError(ArithmeticError):
    """A loss or a gradient is NaN or infinite; the message names the step and the batch."""


def fit(
    model: nn.Module,
    step: Step,
    batches: Callable[[int], Any],
    config: FitConfig,
    *,
    folder: str | Path | None = None,
    groups: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[Record]:
    """Train ``model`` in place, and yield after each optimiser step.

    With a folder, training saves itself there and the same call goes on from the last checkpoint,
    bit for bit on the same device. With `ema_decay`, the model holds the averaged weights once
    the generator is exhausted. In bf16 the model's outputs reach ``step`` as fp32.

    Args:
        model: The network; it is moved to the device of this process. Only its parameters with
            `requires_grad` are trained.
        step: Model and batch to scalar loss.
        batches: Pure function of a position to a batch, so that the position is all there is to
            resume. Process r of n takes position ``step * n + r``.
        config: How to train.
        folder: Where checkpoints, the history and a failing batch go.
        groups: Parameter groups of torch, for several learning rates.

    Raises:
        NotFiniteError: A loss or gradient is NaN or infinite.
        ValueError: The folder belongs to a run of another configuration.

    Example:
        >>> for record in fit(model, step, batches, FitConfig(steps=800), folder="run"):
        ...     print(record.step, record.loss)  # doctest: +SKIP
    """
    run = _Run(model, config, folder, groups)
    hook = run.network.register_forward_hook(_outputs_to_fp32)
    n, rank = run.accelerator.num_processes, run.accelerator.process_index
    positions = range(run.start * n + rank, config.steps * n + rank, n)
    pin = run.accelerator.device.type == "cuda"
    try:
        with closing(prefetched(batches, positions, ahead=config.prefetch, pin=pin)) as stream:
            for i in range(run.start, config.steps):
                yield run.advance(i, step, stream)
        if run.average is not None:
            run.network.load_state_dict(run.average.state)
    finally:
        hook.remove()


class _Run:
    """The parts of one training run that a checkpoint holds, and one step of it."""

    def __init__(
        self,
        model: nn.Module,
        config: FitConfig,
        folder: str | Path | None,
        groups: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        # A batch may leave the parts of other protocols without gradient: DDP must expect it.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[unused])
        self.config, self.network = config, model.to(self.accelerator.device)
        if autocast_dtype(config.precision, self.accelerator.device) is not None:
            use_channels_last(model)
        optimizer = adamw(model, config, groups)
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.average = RunningAverage(model, config.ema_decay) if config.ema_decay else None
        self.folder = Path(folder) if folder is not None else None
        seed_everything(config.seed + self.accelerator.process_index)
        self.start = self._resume()
        self.model.train()

    def advance(self, i: int, step: Step, stream: Iterator[Any]) -> Record:
        """Do optimiser step ``i``, then save what is due."""
        began = time.perf_counter()
        batch = next(stream)
        waited = time.perf_counter() - began
        batch = batch.to(self.accelerator.device)
        lr = set_lr(self.optimizer, lr_factor(self.config, i))
        with autocast(self.config.precision, self.accelerator.device):
            loss = step(self.model, batch).float()
        self._guard("loss", loss, i, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        limit = math.inf if self.config.clip_norm is None else self.config.clip_norm
        norm = self.accelerator.clip_grad_norm_(self.parameters, limit)
        self._guard("gradient norm", norm, i, batch)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network, i)
        mean = float(self.accelerator.reduce(loss.detach(), reduction="mean"))
        record = Record(
            step=i,
            loss=mean,
            lr=lr,
            grad_norm=float(norm),
            data_seconds=waited,
            seconds=time.perf_counter() - began,
        )
        self._save(record)
        return record

    def _guard(self, what: str, value: Tensor, i: int, batch: Any) -> None:
        if bool(torch.isfinite(value)):
            return
        tasks = getattr(batch, "task", None)
        where = "no folder was given, so the batch is not kept"
        if self.folder is not None:
            path = self.folder / f"not_finite_step{i}_process{self.accelerator.process_index}.pt"
            fields = {name: v.cpu() for name, v in vars(batch).items() if isinstance(v, Tensor)}
            save_state(path, fields)
            where = f"its batch is in {path}"
        raise NotFiniteError(
            f"the {what} must be finite, got {value.item()} at step {i}, tasks "
            f"{None if tasks is None else tasks.tolist()}; {where}. Try a lower lr or fp32."
        )

    def _save(self, record: Record) -> None:
        done = record.step + 1
        if self.folder is None:
            return
        if self.accelerator.is_main_process:
            append_record(self.folder, record)
        if done % self.config.checkpoint_every and done < self.config.steps:
            return
        randomness = gather_object([rng_state()])
        if self.accelerator.is_main_process:
            save_state(
                self.folder / CHECKPOINT_FILE,
                {
                    "step": done,
                    "config": asdict(self.config),
                    "model": self.network.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "average": None if self.average is None else self.average.state,
                    "rng": randomness,
                },
            )
        self.accelerator.wait_for_everyone()

    def _resume(self) -> int:
        """Load the last checkpoint of the folder, if any; return the step to go on with."""
        if self.folder is None:
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / CHECKPOINT_FILE
        start = 0
        if path.exists():
            state = load_state(path)
            self._check_config(state["config"])
            self.network.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load(state["average"])
            self._restore_randomness(state["rng"])
            start = state["step"]
        if self.accelerator.is_main_process:
            truncate_history(self.folder, start)
            for stray in self.folder.glob(f".{CHECKPOINT_FILE}.*"):
                stray.unlink(missing_ok=True)  # a kill while saving leaves one
        self.accelerator.wait_for_everyone()
        return start

    def _restore_randomness(self, states: list[dict[str, Any]]) -> None:
        if len(states) != self.accelerator.num_processes:
            raise ValueError(
                f"this run was saved by {len(states)} processes, now there are "
                f"{self.accelerator.num_processes}; resume with as many."
            )
        set_rng_state(states[self.accelerator.process_index])

    def _check_config(self, saved: Mapping[str, Any]) -> None:
        now = asdict(self.config)
        changed = [
            f"{name} was {saved.get(name)}, is {now[name]}"
            for name in now
            if name not in FREE_TO_CHANGE and saved.get(name) != now[name]
        ]
        if changed:
            raise ValueError(
                f"{self.folder} holds a run of another configuration "
                f"({'; '.join(changed)}); choose another folder or delete this one."
            )


def _outputs_to_fp32(_module: nn.Module, _inputs: Any, outputs: Any) -> Any:
    """Forward hook: losses sum over millions of voxels, for which bf16 is too coarse."""
    return convert_to_fp32(outputs)
