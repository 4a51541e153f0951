"""Chunks of points to threads, processes or a cluster, and their records back.

joblib is the seam: threads unless the caller's `joblib.parallel_config` says otherwise. Dask is not
driven through joblib, whose backend for it waits for ever when a task fails with its worker or the
scheduler goes away, but through the `concurrent.futures` interface of its client, as any other
executor is.
"""

import concurrent.futures
import functools
import math
import os
import pickle
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .._validation import _brief
from .work import Job, Point, record_failure

__all__ = ["Chunks", "execute"]

# A chunk should take about so long: its way to a worker and back takes about a millisecond.
_SECONDS = 0.25
_LARGEST = 256

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
    """

    def __init__(
        self, points: Callable[[int, int], list[Point]], size: int, n_workers: int
    ) -> None:
        self._points = points
        self._size = size
        self._n_workers = n_workers
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
        count = max(1, min(_LARGEST, share, round(_SECONDS / self._mean)))
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
        self._data = _dump(job, "function", job.function)

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
            f"{_brief(shown)}: {error}"
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
    chunks = Chunks(points, size, min(n_workers, size))
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
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "ncores"):
        return max(1, int(sum(client.ncores().values())))
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else os.cpu_count() or 1


def _one_by_one(job: Job, chunks: Chunks) -> Iterator[Records]:
    for chunk in chunks:
        for point in chunk:
            yield job([point])


def _through_joblib(
    job: Job, chunks: Chunks, n_jobs: int | None, in_process: bool
) -> Iterator[Records]:
    import joblib

    cancelled = threading.Event()
    parallel = joblib.Parallel(
        n_jobs=n_jobs, prefer="threads", return_as="generator_unordered", batch_size=1
    )
    if in_process:
        tasks = (joblib.delayed(job)(chunk, cancelled) for chunk in chunks)
    else:
        shipped = _Shipped(job)
        tasks = (
            joblib.delayed(shipped)(_dump_chunk(chunk), secrets.token_hex(8)) for chunk in chunks
        )
    try:
        for records in parallel(tasks):
            chunks.learn(records)
            yield records
    except BaseException:
        cancelled.set()
        raise


def _through_executor(
    job: Job, chunks: Chunks, executor: Any, n_workers: int, in_process: bool
) -> Iterator[Records]:
    """Keep a few chunks on their way for each worker, and yield what comes."""
    cancelled = threading.Event()
    shipped = None if in_process else _Shipped(job)
    pending: dict[Any, list[Point]] = {}
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def submit(chunk: list[Point]) -> None:
        if shipped is None:
            future = executor.submit(job, chunk, cancelled)
        else:
            future = executor.submit(shipped, _dump_chunk(chunk), secrets.token_hex(8))
        pending[future] = chunk
        future.add_done_callback(finished.put)

    try:
        while True:
            while len(pending) < 2 * n_workers and (chunk := next(chunks, None)) is not None:
                submit(chunk)
            if not pending:
                return
            future = finished.get()
            chunk = pending.pop(future)
            if not _has_killed(future):
                records = future.result()
                chunks.learn(records)
                yield records
            elif len(chunk) == 1:
                yield [record_failure(job, chunk[0], future.exception())]
            else:  # one of them did it
                for point in chunk:
                    submit([point])
    except BaseException:
        cancelled.set()
        for future in pending:
            future.cancel()
        raise


def _has_killed(future: Any) -> bool:
    """Whether Dask gave a chunk up, as each worker that took it has died."""
    if future.cancelled():
        return False
    return type(future.exception()).__name__ == "KilledWorker"
