"""What a sweep adds to its points on each backend, and how long a million of them would take."""

import contextlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import xarray as xr

import pydlnet as dln

from ..optional import Unavailable, optional
from ..report import paragraphs, significant, table
from ..timing import Plan, in_turn, say, seconds_of

WORKERS = 2
N_POINTS = 400
N_QUICK = 40

# `pydlnet demo` at depth 3, whose run is a point of the calculation.
SIZE, RANK, N_OBSERVED, DEPTH = 100, 5, 2000, 3
QUANTITIES = ("loss", "reconstruction_error", "singular_values", "effective_rank")
MILLION = 10**6
CORES = (1, 64, 1024)


def nothing(x: int) -> dict[str, int]:
    """Return a number at once."""
    return {"y": x}


def records(x: int) -> xr.Dataset:
    """Return what a run keeps: a loss and ten singular values at 200 steps."""
    steps = np.arange(200)
    loss = np.exp(-0.01 * steps * (1 + x % 7))
    spectrum = np.outer(loss, np.arange(1.0, 11.0))
    variables = {"loss": ("step", loss), "singular_value": (("step", "mode"), spectrum)}
    return xr.Dataset(variables, {"step": steps})


def small_run(x: int) -> dln.Trajectory:
    """Run a thousand steps of a small network."""
    start = dln.init.balanced((10, 10, 10, 10), scale=0.3, rng=x)
    problem = dln.TargetMatrix(np.diag(np.arange(1.0, 11.0)))
    return dln.run(problem, start, dln.GradientDescent(1e-3), n_steps=1000, progress=False)


def demo_run(seed: int) -> dln.Trajectory:
    """Run the demo's completion, with the settings of `pydlnet.cli.demo`."""
    problem = dln.MatrixCompletion.synthetic((SIZE, SIZE), RANK, N_OBSERVED, seed)
    return dln.run(
        problem,
        dln.init.gaussian([SIZE] * (DEPTH + 1), 1e-3, seed + 1),
        dln.GroupRMSprop(2e-3, epsilon=1e-4),
        n_steps=200_000,
        record=dln.Record(QUANTITIES, every=100),
        stop=dln.Stop(loss=5e-7),
        progress=False,
    )


FUNCTIONS = (nothing, records, small_run)


def measure(plan: Plan) -> str:
    """Measure everything."""
    size = N_QUICK if plan.quick else N_POINTS
    with tempfile.TemporaryDirectory() as folder, _backends() as (backends, absent):
        rows = [_row(name, use, size, Path(folder)) for name, use in backends.items()]
        opened = _opening(size, Path(folder))
    return paragraphs(
        f"Wall time a point in milliseconds, {size} points, on {WORKERS} workers where it says so. "
        "The first row calls the function in a loop and keeps nothing; the others write every "
        "point with `fsync`.",
        table(["who computes", *(function.__name__ for function in FUNCTIONS)], rows),
        f"Launching again takes {significant(opened[0])} ms a point that is done, which is read "
        f"and compared with its checksum; opening takes {significant(opened[1])} ms.",
        "\n".join(f"{name} was not measured: {why}." for name, why in absent.items()),
        "" if plan.quick else _million(),
    )


@contextlib.contextmanager
def _backends() -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Yield by name what makes the keywords of a sweep, and what is missing."""
    found: dict[str, Any] = {
        "a loop": None,
        "serial": partial(contextlib.nullcontext, {}),
        f"{WORKERS} threads": partial(contextlib.nullcontext, {"n_jobs": WORKERS}),
        f"{WORKERS} processes (loky)": _processes,
    }
    with contextlib.ExitStack() as stack:
        try:
            distributed = optional("distributed")
        except Unavailable as error:
            yield found, {"Dask": str(error)}
            return
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
            )
        )
        client = stack.enter_context(distributed.Client(cluster))
        executor = {"executor": client.get_executor(pure=False)}
        found[f"{WORKERS} Dask workers"] = partial(contextlib.nullcontext, executor)
        yield found, {}


@contextlib.contextmanager
def _processes() -> Iterator[dict[str, Any]]:
    with joblib.parallel_config(backend="loky", n_jobs=WORKERS):
        yield {}


def _row(name: str, use: Any, size: int, folder: Path) -> list[str]:
    say(f"  {name}")
    cells = [name]
    for function in FUNCTIONS:
        if use is None:
            seconds = seconds_of(partial(_loop, function, size))
        else:
            with use() as keywords:
                _sweep(function, 2 * WORKERS, folder / f"warm {name} {function.__name__}", keywords)
                store = folder / f"{name} {function.__name__}"
                seconds = seconds_of(partial(_sweep, function, size, store, keywords))
        cells.append(significant(1e3 * seconds / size))
    return cells


def _loop(function: Callable[[int], Any], size: int) -> None:
    for x in range(size):
        function(x)


def _sweep(
    function: Callable[[int], Any], size: int, store: Path, keywords: dict[str, Any]
) -> dln.Sweep:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a point that failed would be a quick one
        grid = {"x": list(range(size))}
        return dln.sweep(function, grid, store=store, progress=False, **keywords)


def _opening(size: int, folder: Path) -> tuple[float, float]:
    store = folder / "serial records"
    calls = {
        "again": partial(_sweep, records, size, store, {}),
        "open": lambda: dln.open_sweep(store).data,
    }
    times = in_turn(calls, 3)
    return tuple(1e3 * times[name].median / size for name in calls)  # type: ignore[return-value]


def _million() -> str:
    """Return what a million points of the demo would take."""
    say("  one point of the demo")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "demo")
        seconds = seconds_of(lambda: dln.sweep(demo_run, {"seed": [0]}, store=store))
        n_bytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    rows = [[f"{cores:,}", f"{significant(seconds * MILLION / cores / 3600)} h"] for cores in CORES]
    return paragraphs(
        f"A point that is the demo's run at depth {DEPTH} takes {significant(seconds)} s on one "
        f"core here and {significant(n_bytes / 1e3)} kB on disk. So {MILLION:,} of them would take "
        f"{significant(n_bytes * MILLION / 1e9)} GB and, calculated and not measured:",
        table(["cores", "wall time"], rows),
    )
