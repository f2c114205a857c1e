"""Workers in processes of their own on this machine: one that crashes on a photo costs that photo and no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Generator, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from sama_core.batch.worker import MakeEngine, Outcome, Task, describe_exit, work
from sama_core.errors import BatchStopped, SamaError

#: Seconds for a worker to end after it was told to.
_PATIENCE = 5.0

#: What a worker says when it has its engine.
_READY = "ready"


def run_in_processes(tasks: Iterator[Task], make_engine: MakeEngine, jobs: int) -> Generator[Outcome, None, None]:
    """Do tasks in `jobs` processes; outcomes come as they are ready. Closing the generator ends the processes.

    Raises:
        BatchStopped: no worker can be started.
        SamaError: what the engine said when it could not be made.
    """
    workers: list[_Worker] = []
    todo = _Queue(tasks)
    try:
        while True:
            while len(workers) < jobs and not todo.empty(sum(worker.task is None for worker in workers)):
                workers.append(_Worker(make_engine))
            if not workers:
                return
            ready = wait([worker.pipe for worker in workers])
            for worker in [worker for worker in workers if worker.pipe in ready]:
                message = worker.receive()
                if message is None:
                    workers.remove(worker)
                    worker.end()
                    yield worker.epitaph()
                    continue
                if isinstance(message, SamaError):
                    raise message
                if isinstance(message, Outcome):
                    yield message
                worker.task = todo.take()
                if worker.task is None:
                    workers.remove(worker)
                    worker.end()
                else:
                    worker.send(worker.task)
    finally:
        for worker in workers:
            worker.end(at_once=True)


class LoneWorker:
    """One process for one photo at a time, made anew after a photo that it did not survive."""

    def __init__(self, make_engine: MakeEngine) -> None:
        self._make_engine = make_engine
        self._worker: _Worker | None = None

    def work(self, task: Task) -> Outcome:
        """Do a task.

        Raises:
            BatchStopped: the worker cannot be started.
            SamaError: what the engine said when it could not be made.
        """
        worker = self._worker
        if worker is None:
            worker = _Worker(self._make_engine)
            said = worker.receive()
            if said != _READY:
                worker.end(at_once=True)
                raise said if isinstance(said, SamaError) else worker.epitaph_while_loading()
        worker.task = task
        worker.send(task)
        outcome = worker.receive()
        self._worker = worker if outcome is not None else None
        if outcome is None:
            worker.end()
            return worker.epitaph()
        return outcome


class _Queue:
    """Tasks, of which one can be looked at before it is taken."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self._ahead: list[Task] = []

    def empty(self, beyond: int) -> bool:
        """Whether there are no more than `beyond` tasks left."""
        while len(self._ahead) <= beyond:
            task = next(self._tasks, None)
            if task is None:
                return True
            self._ahead.append(task)
        return False

    def take(self) -> Task | None:
        return None if self.empty(0) else self._ahead.pop(0)


class _Worker:
    """A process and the task it has; `task` is None while it loads its engine."""

    def __init__(self, make_engine: MakeEngine) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self.exit_code: int | None = None
        self._process = context.Process(target=_serve, args=(theirs, make_engine), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """Return what the process says, or None when it has ended."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None

    def send(self, task: Task) -> None:
        # A process that has just died is noticed when it is listened to.
        with contextlib.suppress(OSError):
            self.pipe.send(task)

    def epitaph(self) -> Outcome:
        """What became of the task of a worker that has ended.

        Raises:
            BatchStopped: it had none yet.
        """
        if self.task is None:
            raise self.epitaph_while_loading()
        how = describe_exit(self.exit_code)
        return Outcome(self.task, f"The process that worked on it ended ({how}). Use fewer --jobs or a smaller copy.")

    def epitaph_while_loading(self) -> BatchStopped:
        """What to say of a worker that never got its engine."""
        how = describe_exit(self.exit_code)
        return BatchStopped(
            f"A worker ended while it loaded the model ({how}). Close other programs or use fewer --jobs."
        )

    def end(self, at_once: bool = False) -> None:
        """Let the process end, or end it."""
        self.pipe.close()
        if at_once:
            self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.exit_code = self._process.exitcode


def _serve(pipe: Connection, make_engine: MakeEngine) -> None:
    """A worker's life: make the engine, then do one task after the other until nobody is there to give one."""
    # Ctrl-C reaches every process of the terminal; whoever started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        try:
            engine = make_engine()
        except SamaError as error:
            pipe.send(error)
            return
        pipe.send(_READY)
        while True:
            pipe.send(work(engine, pipe.recv()))
