"""Chunks of points to threads, processes or a cluster, and their records back.

joblib is the seam: threads unless the caller's `joblib.parallel_config` says otherwise. Dask is not
driven through joblib, whose backend for it waits for ever when a task fails with its worker or the
scheduler goes away, but through the `concurrent.futures` interface of its client, as any other
executor is.
"""

import concurrent.futures
import functools
import itertools
import math
import os
import pickle
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .._validation import _brief, function_name
from .work import Job, Point, write_point

__all__ = ["Chunks", "execute"]

# A chunk should take about so long: its way to a worker and back takes about a millisecond.
_SECONDS = 0.25
_LARGEST = 64

# If Dask has returned nothing for so many seconds, its scheduler is asked whether it is there, and
# has so many to answer.
_SILENCE = 1.0
_ANSWER = 7.0

# How often a chunk is sent again that was lost with its workers.
_ATTEMPTS = 1

# For backends of joblib that return results only all together: so many chunks a worker at a time.
_ROUND = 16

Records = list[dict[str, Any]]


class Chunks:
    """Cuts points into chunks, one at first and more when they turn out to be quick.

    Parameters
    ----------
    points : callable
        `points(first, last)` returns those in a range.
    size : int
        How many there are.
    n_workers : int
        How many will compute them.
    least : int
        Fewest points of a chunk, as long as there are some for every worker.
    """

    def __init__(
        self, points: Callable[[int, int], list[Point]], size: int, n_workers: int, least: int
    ) -> None:
        self._points = points
        self._size = size
        self._n_workers = n_workers
        self._least = least
        self._next = 0
        self._mean = math.inf

    def __iter__(self) -> Iterator[list[Point]]:
        return self

    def __next__(self) -> list[Point]:
        """Return the next chunk."""
        left = self._size - self._next
        if left == 0:
            raise StopIteration
        share = math.ceil(left / (2 * self._n_workers))
        count = max(1, min(_LARGEST, share, max(self._least, round(_SECONDS / self._mean))))
        first, self._next = self._next, self._next + count
        return self._points(first, self._next)

    def learn(self, records: Records) -> None:
        """Take notice of how long points take."""
        if records:
            mean = sum(record["seconds"] for record in records) / len(records)
            self._mean = max(mean, 1e-4)


class _Shipped:
    """A job as bytes, which every kind of pickle carries; made again once in each worker."""

    def __init__(self, job: Job) -> None:
        self._data = _dump(job, job.argument, job.shown)

    def __call__(self, chunk: bytes, token: str) -> Records:
        """Compute a chunk; the token makes it differ from all others, wherever calls are cached."""
        result: Records = _load(self._data)(pickle.loads(chunk))
        return result


@functools.lru_cache(maxsize=8)
def _load(data: bytes) -> Job:
    job: Job = pickle.loads(data)
    return job


def _dump(value: Any, name: str, shown: Any) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"{name}: expected what can be pickled, as it goes to another process, got "
            f"{function_name(shown) if callable(shown) else _brief(shown)}: {error}"
        ) from error
    return data


def _dump_chunk(chunk: Sequence[Point]) -> bytes:
    return _dump(chunk, "grid", chunk[0].parameters)


def execute(
    job: Job,
    points: Callable[[int, int], list[Point]],
    size: int,
    n_jobs: int | None,
    executor: Any,
) -> Iterator[Records]:
    """Compute all points and yield their records as they come.

    Parameters
    ----------
    job : Job
        What to compute.
    points : callable
        `points(first, last)` returns the points in a range.
    size : int
        How many there are.
    n_jobs : int or None
        As joblib takes it.
    executor : object or None
        With the interface of `concurrent.futures.Executor`.

    Yields
    ------
    list of dict
        The records of a chunk.
    """
    if executor is None:
        executor, n_workers, in_process = _configured(n_jobs)
    else:
        n_workers = _n_workers(executor, n_jobs)
        in_process = isinstance(executor, concurrent.futures.ThreadPoolExecutor)
    chunks = Chunks(points, size, max(1, min(n_workers, size)), job.least)
    if executor is not None:
        yield from _through_executor(job, chunks, executor, n_workers, in_process)
    elif n_workers == 1:
        yield from _one_by_one(job, chunks)
    else:
        yield from _through_joblib(job, chunks, n_jobs, in_process)


def _configured(n_jobs: int | None) -> tuple[Any, int, bool]:
    """Return the executor if there is to be one, how many workers, and whether they are threads."""
    from joblib.parallel import get_active_backend

    backend, configured = get_active_backend(prefer="threads")
    client = getattr(backend, "client", None)
    if client is not None and hasattr(client, "get_executor"):
        executor = client.get_executor(pure=False)
        return executor, _n_workers(executor, n_jobs), False
    n_workers = backend.effective_n_jobs(configured if n_jobs is None else n_jobs)
    return None, int(n_workers), bool(getattr(backend, "supports_sharedmem", False))


def _n_workers(executor: Any, n_jobs: int | None) -> int:
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    client = _client_of(executor)
    if client is not None:
        return max(1, int(sum(client.ncores().values())))
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else os.cpu_count() or 1


def _one_by_one(job: Job, chunks: Chunks) -> Iterator[Records]:
    for chunk in chunks:
        for part in [[point] for point in chunk] if job.least == 1 else [chunk]:
            yield job(part)


def _through_joblib(
    job: Job, chunks: Chunks, n_jobs: int | None, in_process: bool
) -> Iterator[Records]:
    import joblib

    cancelled = threading.Event()
    if in_process:
        tasks = (joblib.delayed(job)(chunk, cancelled) for chunk in chunks)
    else:
        shipped = _Shipped(job)
        tasks = (
            joblib.delayed(shipped)(_dump_chunk(chunk), secrets.token_hex(8)) for chunk in chunks
        )
    try:
        for records in _run(tasks, n_jobs):
            chunks.learn(records)
            yield records
    except BaseException:
        cancelled.set()
        raise


def _run(tasks: Iterator[Any], n_jobs: int | None) -> Iterator[Records]:
    import joblib
    from joblib.parallel import get_active_backend

    options = {"n_jobs": n_jobs, "prefer": "threads", "batch_size": 1}
    backend, _ = get_active_backend(prefer="threads")
    if getattr(backend, "supports_return_generator", False):
        yield from joblib.Parallel(return_as="generator_unordered", **options)(tasks)
        return
    with joblib.Parallel(**options) as parallel:
        size = _ROUND * parallel.n_jobs
        while part := list(itertools.islice(tasks, size)):
            yield from parallel(part)


def _through_executor(
    job: Job, chunks: Chunks, executor: Any, n_workers: int, in_process: bool
) -> Iterator[Records]:
    """Keep a few chunks on their way for each worker, and yield what comes."""
    cancelled = threading.Event()
    shipped = None if in_process else _Shipped(job)
    pending: dict[Any, tuple[list[Point], int]] = {}
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def submit(chunk: list[Point], attempt: int = 0) -> None:
        if shipped is None:
            future = executor.submit(job, chunk, cancelled)
        else:
            future = executor.submit(shipped, _dump_chunk(chunk), secrets.token_hex(8))
        pending[future] = chunk, attempt
        future.add_done_callback(finished.put)

    try:
        while True:
            while len(pending) < 2 * n_workers and (chunk := next(chunks, None)) is not None:
                submit(chunk)
            if not pending:
                return
            future = _next(finished, executor)
            chunk, attempt = pending.pop(future)
            if not _is_lost(future, executor):
                records = future.result()
                chunks.learn(records)
                yield records
            elif attempt < _ATTEMPTS:
                for point in chunk:  # one of them may have done it
                    submit([point], attempt + 1)
            else:
                error = future.exception()
                yield [write_point(job, point, None, error, 0.0) for point in chunk]
    except BaseException:
        cancelled.set()
        for future in pending:
            future.cancel()
        raise


def _is_lost(future: Any, executor: Any) -> bool:
    """Whether Dask has lost a chunk with its workers, in one of the ways it has to say so.

    "KilledWorker" means that each worker that took it has died; a worker that dies when it has just
    returned something may give a ValueError of Dask's own.
    """
    if _client_of(executor) is None or future.cancelled():
        return False
    return type(future.exception()).__name__ in ("KilledWorker", "ValueError")


def _next(finished: queue.SimpleQueue[Any], executor: Any) -> Any:
    """Return the next future that is done; raise if Dask's scheduler does not answer any more."""
    client = _client_of(executor)
    while True:
        try:
            return finished.get(timeout=None if client is None else _SILENCE)
        except queue.Empty:
            _probe(client)


def _probe(client: Any) -> None:
    """Ask the scheduler anything: a client of a dead one waits, tries again, and says nothing."""
    try:
        client.sync(client.scheduler.ncores, callback_timeout=_ANSWER)
    except Exception as error:
        raise concurrent.futures.BrokenExecutor(
            f"the scheduler does not answer: {type(error).__name__}"
        ) from error


def _client_of(executor: Any) -> Any:
    """Return the client of an executor of Dask's, None of any other."""
    client = getattr(executor, "_client", None)
    return client if hasattr(client, "ncores") and hasattr(client, "sync") else None
