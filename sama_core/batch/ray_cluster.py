"""Workers on a Ray cluster, through Ray Data: an actor on each machine holds the engine, and photos stream through.

Photos and drafts travel by a folder that every machine sees under the same name; only names and results go through Ray.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from sama_core.batch.processes import LoneWorker
from sama_core.batch.worker import MakeEngine, Outcome, Task, as_row, from_row
from sama_core.errors import BatchError, BatchStopped, SamaError

#: Starts a cluster on this machine that ends with the batch.
LOCAL = "local"
#: Of a cluster of our own: through it go file names, so little is enough.
_OBJECT_STORE_BYTES = 100 << 20
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def run_on_ray(
    tasks: list[Task], make_engine: MakeEngine, address: str, jobs: int | None, device: str
) -> Generator[Outcome, None, None]:
    """Do tasks on a cluster; outcomes come as they are ready. Closing the generator lets go of the cluster.

    Args:
        make_engine: importable on every machine of the cluster.
        address: “local”, “auto” or HOST:PORT of a running cluster.
        jobs: how many engines; None is one for each GPU, or one for each machine where there is none.
        device: as `Engine` has it; with “cpu” no GPU is asked for.

    Raises:
        BatchError: Ray is not installed.
        BatchStopped: the cluster cannot be reached, or has no model.
    """
    if not tasks:
        return
    ray = _load_ray(address)
    scratch = _connect(ray, address, jobs)
    try:
        yield from _outcomes(ray, tasks, make_engine, jobs, device)
    finally:
        ray.shutdown()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _load_ray(address: str) -> Any:
    # It would send statistics of its use to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOCAL:
        # Ray listens on the network: only who has this token may speak to it. Versions before 2.52 know no tokens.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise BatchError("Ray is not installed. Install it with: pip install 'sama-gimp[cluster]'.") from error
    return importlib.import_module("ray")


def _connect(ray: Any, address: str, jobs: int | None) -> Path | None:
    """Join the cluster; return the folder of one that was started, for it to be removed."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if address == LOCAL:
        return _start(ray, jobs or 1)
    try:
        ray.init(address=address, **_QUIET)
    except Exception as error:  # of many kinds, RuntimeError and ConnectionError among them
        raise BatchStopped(
            f"The Ray cluster at {address} cannot be used ({type(error).__name__}: {_last_line(error)}). "
            "Check its address with: ray status."
        ) from error
    return None


def _start(ray: Any, jobs: int) -> Path:
    # Ray's sockets are in there, whose names must be short.
    scratch = Path(tempfile.mkdtemp(prefix="sama-ray-", dir="/tmp" if os.name == "posix" else None))
    # What Ray failed to start lives as long as this process and writes: this runs after Ray has ended it.
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    tries = 3  # on a busy machine Ray gives itself up after 30 seconds
    while True:
        tries -= 1
        try:
            ray.init(
                address=LOCAL,
                # for actors and, beside them, for Ray's own tasks
                num_cpus=jobs + 1,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=str(scratch),
                **_QUIET,
            )
            return scratch
        except BaseException as error:
            ray.shutdown()
            if tries and isinstance(error, Exception):
                continue
            shutil.rmtree(scratch, ignore_errors=True)
            if not isinstance(error, Exception):
                raise
            raise BatchStopped(
                f"Ray cannot start on this machine ({type(error).__name__}: {_last_line(error)}). "
                "Close other programs and try again, or leave out --ray."
            ) from error


def _outcomes(
    ray: Any, tasks: list[Task], make_engine: MakeEngine, jobs: int | None, device: str
) -> Generator[Outcome, None, None]:
    machines = max(1, sum(bool(node.get("Alive")) for node in ray.nodes()))
    gpus = 0 if device == "cpu" else int(ray.cluster_resources().get("GPU", 0))
    count = min(len(tasks), jobs or gpus or machines)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items([{"task": task.to_json()} for task in tasks], override_num_blocks=len(tasks))
    results = rows.map_batches(
        _Actor,
        fn_constructor_args=(make_engine, -(-count // machines)),
        compute=ray.data.ActorPoolStrategy(size=count),
        batch_size=1,
        num_gpus=1 if gpus else 0,
        num_cpus=1,
    )
    lines = iter(results.iter_rows())
    while True:
        try:
            row = next(lines, None)
        except Exception as error:  # of Ray's many kinds: no worker could start, or the cluster went away
            raise BatchStopped(
                f"The Ray cluster gave up ({type(error).__name__}: {_last_line(error)}). "
                "See that every machine has the same Python and SAMA with its [cluster] extra, and try again."
            ) from error
        if row is None:
            return
        if row["stop"]:
            raise BatchStopped(row["stop"])
        yield from_row(row)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[-1]


class _Actor:
    """A worker of the cluster.

    Its engine is in a process of its own: Ray would give a photo that kills its actor to the next one, for ever.
    """

    def __init__(self, make_engine: MakeEngine, neighbours: int) -> None:
        # Ray gives an actor one thread; actors share their machine evenly instead.
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // neighbours))
        self._worker = LoneWorker(make_engine)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        [text] = batch["task"]
        task = Task.from_json(str(text))
        row = {"task": "", "outcome": "", "stop": ""}
        if Path(task.draft).parent.is_dir():
            try:
                row.update(as_row(self._worker.work(task)))
            except SamaError as error:
                row["stop"] = str(error)
        else:
            row["stop"] = (
                f"The machine {platform.node()} does not see {Path(task.draft).parents[2]}. "
                "Use folders that every machine of the cluster has under the same name."
            )
        return {name: [value] for name, value in row.items()}
