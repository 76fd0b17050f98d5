"""What --scheduler means, for every command that has it."""

import pytest

from fmtutor.bench.sweep_runners import Local, Remote, Slurm
from fmtutor.cli.places import runner_at


def test_each_scheduler_takes_what_concerns_it() -> None:
    assert runner_at("local", workers=3, gpus=("0",)) == Local(workers=3, gpus=("0",))
    assert runner_at("slurm", workers=2, gpus_per_job=1) == Slurm(workers=2, gpus_per_job=1)
    assert runner_at("tcp://host:1", workers=9) == Remote(address="tcp://host:1")


@pytest.mark.parametrize("scheduler", ["pbs", "host:8786"])
def test_another_scheduler_is_an_error(scheduler: str) -> None:
    with pytest.raises(ValueError, match=f"--scheduler is local, serial, slurm.*{scheduler!r}"):
        runner_at(scheduler, workers=1)
