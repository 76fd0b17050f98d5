"""Runners of sweeps on many workers, by Dask: this machine, a running scheduler, SLURM.

Each worker is a process with one thread that runs one task at a time. When a worker dies, its
task is given to another (at most `ALLOWED_FAILURES` times, then it counts as failed) and a new
process takes its place; all other tasks go on. Needs the extra ``scale``.
"""

import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from fmtutor.bench.sweep import Done, Task

ALLOWED_FAILURES = 3
"""How often a task may lose its worker before it counts as failed itself."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
KEPT_BYTES = 2**28
"""Freed memory that a worker keeps. Dask's default gives back all above 64 KiB, so that the tensors
of every step are page-faulted anew: a training step then takes 1.6 times as long."""
BEFORE_START = "distributed.nanny.pre-spawn-environ"
SETTINGS = {
    f"{BEFORE_START}.MALLOC_TRIM_THRESHOLD_": KEPT_BYTES,
    f"{BEFORE_START}.MALLOC_MMAP_THRESHOLD_": KEPT_BYTES,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.worker-ttl": "30 minutes",
    "distributed.comm.timeouts.connect": "60s",
}
"""A task waits at the scheduler until a worker is free, so that a worker's death costs one task;
a worker may be silent while it computes."""
NANNIES_STAY = {"distributed.deploy.lost-worker-timeout": "365 days"}
"""A nanny starts its worker again. By default the cluster closes one for good whose worker happens
to be away a while after an earlier death, and a sweep could end up without workers."""


@dataclass(frozen=True, kw_only=True)
class Local:
    """Processes on this machine.

    Raises:
        ValueError: There is no worker, or Dask is not installed.
    """

    workers: int
    """Processes; with GPUs, all together."""
    gpus: tuple[str, ...] = ()
    """Names of GPUs for CUDA_VISIBLE_DEVICES, dealt to the workers in turn: more workers than GPUs
    share them."""

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Start the workers, run the tasks, stop the workers."""
        from dask.distributed import Client

        with ExitStack() as stack:
            cluster = stack.enter_context(self.cluster(min(self.workers, len(tasks))))
            yield from followed(stack.enter_context(Client(cluster)), tasks)

    @contextmanager
    def cluster(self, workers: int) -> Iterator[Any]:
        """Yield a running cluster with that many workers."""
        import dask
        from dask.distributed import Scheduler, SpecCluster

        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": "127.0.0.1", "dashboard": False, "allowed_failures": ALLOWED_FAILURES,
            },
        }  # fmt: skip
        with dask.config.set({**SETTINGS, **NANNIES_STAY}):
            spec = {number: self.worker(number) for number in range(workers)}
            with SpecCluster(workers=spec, scheduler=scheduler, silence_logs=50) as cluster:
                yield cluster

    def worker(self, number: int) -> dict[str, Any]:
        """Return how a worker is started: watched over by a nanny that starts it again."""
        from dask.distributed import Nanny

        environment = dict(ONE_THREAD)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]
        options = {
            "nthreads": 1, "memory_limit": 0, "env": environment, "dashboard": False,
            "silence_logs": 50,
        }  # fmt: skip
        return {"cls": Nanny, "options": options}


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The workers of a scheduler that is running already.

    They must have this package and see the folder of the sweep under the same path.
    """

    address: str
    """Such as ``tcp://host:8786``."""
    timeout_s: float = 30.0
    """To reach the scheduler."""

    def __post_init__(self) -> None:
        check_workers(1)

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Send the tasks; closing takes back what has not begun.

        Raises:
            ValueError: No scheduler answers at the address.
        """
        from dask.distributed import Client

        try:
            client = Client(self.address, timeout=self.timeout_s)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no Dask scheduler answers at {self.address!r} ({error}); start one with "
                "`dask scheduler`, and give its address."
            ) from error
        with client:
            yield from followed(client, tasks)


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """Jobs of a SLURM cluster, one worker each, as many as there is work for.

    Queue, account and all that is left out here come from Dask's configuration file
    ``jobqueue.yaml``. The folder of the sweep must be on a shared disk.
    """

    workers: int
    """Jobs at most at one time."""
    gpus_per_job: int = 0
    memory: str = "16GB"
    walltime: str = "12:00:00"
    """Of a job; a task that it cuts off is run again by the next."""

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if find_spec("dask_jobqueue") is None:
            raise ValueError(MISSING)

    def options(self) -> dict[str, Any]:
        """Return what dask-jobqueue is asked for."""
        gpus = [f"--gres=gpu:{self.gpus_per_job}"] if self.gpus_per_job else []
        return {
            "cores": 1, "processes": 1, "memory": self.memory, "walltime": self.walltime,
            "job_script_prologue": [f"export {k}={v}" for k, v in ONE_THREAD.items()],
            "job_extra_directives": gpus,
        }  # fmt: skip

    def script(self) -> str:
        """Return the script of a job, to be read before anything is sent."""
        from dask_jobqueue.slurm import SLURMJob

        job = SLURMJob(scheduler="tcp://SCHEDULER:8786", name="fmtutor", **self.options())
        return job.job_script()

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Start a scheduler here, let it ask for jobs, run the tasks, give the jobs back.

        Raises:
            ValueError: This machine cannot send jobs, or SLURM refuses them.
        """
        self.check_accepted()
        import dask
        from dask.distributed import Client
        from dask_jobqueue import SLURMCluster

        scheduler = {"dashboard": False, "allowed_failures": ALLOWED_FAILURES}
        with ExitStack() as stack:
            stack.enter_context(dask.config.set(SETTINGS))
            cluster = stack.enter_context(
                SLURMCluster(scheduler_options=scheduler, **self.options())
            )
            cluster.adapt(minimum_jobs=0, maximum_jobs=min(self.workers, len(tasks)))
            yield from followed(stack.enter_context(Client(cluster)), tasks)

    def check_accepted(self) -> None:
        """Have SLURM look at the script of a job, which sends none.

        Dask would ask a SLURM that refuses again and again, and never say so.
        """
        try:
            done = subprocess.run(
                ["sbatch", "--test-only"], input=self.script(), capture_output=True, text=True
            )
        except FileNotFoundError as error:
            raise ValueError(
                "jobs go to SLURM by its command sbatch, which is not on the PATH; run this where "
                "you send jobs from (a login node), or choose another scheduler."
            ) from error
        if done.returncode:
            raise ValueError(
                f"SLURM must accept a job, it says: {(done.stderr or done.stdout).strip()}; set "
                "queue, account and limits in Dask's jobqueue.yaml."
            )


MISSING = (
    "sweeps on several workers need Dask; install the extra with pip install 'fmtutor[scale]', "
    "or choose the serial scheduler."
)


def check_workers(workers: int) -> None:
    """Raise ValueError where no worker could start."""
    if workers < 1:
        raise ValueError(f"a sweep needs at least 1 worker, got {workers}.")
    if find_spec("distributed") is None:
        raise ValueError(MISSING)


def followed(client: Any, tasks: Sequence[Task]) -> Iterator[Done]:
    """Run tasks on a client's workers and yield what became of each as it ends.

    Keys share a prefix: by that Dask knows the tasks for a queue, and keeps them at the scheduler.
    A `Done` that is lost with its worker before it gets here is asked for again. That costs nothing
    where the task finds its file; one that had failed has none, and is tried once more.
    """
    from dask.distributed import as_completed

    batch = f"sweep-{uuid.uuid4().hex}"
    keys = [(batch, number) for number in range(len(tasks))]
    futures = client.map(Task.run, tasks, key=keys, pure=False, retries=0)
    task_of = {future.key: task for future, task in zip(futures, tasks, strict=True)}
    try:
        for future, found in as_completed(futures, with_results=True, raise_errors=False):
            yield _outcome(future.status, found, task_of[future.key])
    finally:
        client.cancel(futures)


def _outcome(status: str, found: Any, task: Task) -> Done:
    """Return what the worker said, or what became of it when it could say nothing."""
    if isinstance(found, Done):
        return found
    error = found[1] if isinstance(found, tuple) else RuntimeError(f"the scheduler says: {status}")
    return task.failed(error)


def visible_gpus() -> tuple[str, ...]:
    """Return the names of the GPUs that this process may use, for CUDA_VISIBLE_DEVICES."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1"))
    import torch

    return tuple(str(number) for number in range(torch.cuda.device_count()))
