"""Where the work of a command runs, as its --scheduler and --workers say."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmtutor.bench.sweep import Runner


def runner_at(
    scheduler: str, *, workers: int, gpus: tuple[str, ...] = (), gpus_per_job: int = 0
) -> "Runner":
    """Return the workers that an option --scheduler means; "serial" needs none, callers see to it.

    Args:
        scheduler: "local" (processes of this machine), "slurm", or an address.
        workers: How many; those behind an address are as many as they are.
        gpus: That local workers share out.
        gpus_per_job: That a SLURM job asks for.

    Raises:
        ValueError: The scheduler is none of these, or needs what is not installed.
    """
    from fmtutor.bench.sweep_runners import Local, Remote, Slurm

    if scheduler == "slurm":
        return Slurm(workers=workers, gpus_per_job=gpus_per_job)
    if scheduler == "local":
        return Local(workers=workers, gpus=gpus)
    if "://" not in scheduler:
        raise ValueError(
            "--scheduler is local, serial, slurm or an address such as tcp://host:8786, got "
            f"{scheduler!r}."
        )
    return Remote(address=scheduler)
