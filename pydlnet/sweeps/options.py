"""How a sweep is launched: the arguments that all kinds of sweeps share, checked."""

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from .._validation import _brief, as_count, as_flag
from .definition import check_folder
from .folder import Folder

__all__ = ["Options", "as_options"]


@dataclass(frozen=True)
class Options:
    """Checked arguments of `sweep` and `sweep_ensemble`.

    Attributes
    ----------
    folder : Folder
        From `store`.
    n_jobs, version, rng, recompute, verify, shard, executor, progress
        As they were given.
    """

    folder: Folder
    n_jobs: int | None
    version: str
    rng: Any
    recompute: bool
    verify: bool
    shard: tuple[int, int] | None
    executor: Any
    progress: bool | None

    def chosen(self, size: int) -> Iterable[int]:
        """Return the points of the shard, or all: every n-th, so that dear regions are shared."""
        number, count = self.shard or (1, 1)
        return range(number - 1, size, count)


def as_options(
    *,
    store: Any,
    n_jobs: Any,
    version: Any,
    rng: Any,
    recompute: Any,
    verify: Any,
    shard: Any,
    executor: Any,
    progress: Any,
) -> Options:
    """Return the checked arguments.

    Raises
    ------
    ValueError, TypeError
        Naming the one that is not as documented.
    """
    if not isinstance(version, str):
        raise TypeError(f"version: expected a string, got {_brief(version)}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "executor: expected an object with the interface of concurrent.futures.Executor, got "
            f"{_brief(executor)}"
        )
    return Options(
        n_jobs=_as_n_jobs(n_jobs),
        version=version,
        rng=rng,
        recompute=as_flag(recompute, "recompute"),
        verify=as_flag(verify, "verify"),
        shard=_as_shard(shard),
        executor=executor,
        progress=None if progress is None else as_flag(progress, "progress", "a bool or None"),
        folder=_as_folder(store),
    )


def _as_n_jobs(n_jobs: Any) -> int | None:
    if n_jobs is None:
        return None
    count = as_count(n_jobs, "n_jobs", -(2**31), 2**31)
    if count == 0:
        raise ValueError("n_jobs: expected an integer >= 1, or a negative one as in joblib, got 0")
    return count


def _as_shard(shard: Any) -> tuple[int, int] | None:
    if shard is None:
        return None
    if not isinstance(shard, tuple | list) or len(shard) != 2:
        raise TypeError(f"shard: expected a pair (number, count), got {_brief(shard)}")
    count = as_count(shard[1], "shard[1]", 1)
    return as_count(shard[0], "shard[0]", 1, count), count


def _as_folder(store: Any) -> Folder:
    if not isinstance(store, str | PathLike):
        raise TypeError(f"store: expected a path, got {_brief(store)}")
    path = Path(store)
    check_folder(path)
    return Folder(path.absolute())
