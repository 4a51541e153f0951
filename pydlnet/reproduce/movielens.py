"""Completion of ratings, such as MovieLens-100K, from a file that the user has."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .. import initialization
from .._validation import FloatArray, IndexArray
from ..datasets import Ratings
from ..datasets.movielens import ratings_at
from ..problems import MatrixCompletion
from ..recording import Record
from ..simulate import run
from ..trajectory import Trajectory
from . import recovery
from .drawing import COLORS, panels
from .experiment import unbroken
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DEFAULT", "FULL", "Plan", "part"]

_HELD_OUT = 0.2
_FEWEST = 10
_SCALE = 1e-3
_N_MODES = 10
_QUANTITIES = ("loss", "held_out_error", "effective_rank", "singular_values")
_KEPT = ("loss", "held_out_error", "effective_rank", "singular_value")
_TRIED_STEPS = 40


@dataclass(frozen=True)
class Plan:
    """How the ratings are completed.

    Attributes
    ----------
    width : int or None
        Of the hidden layers; None is the smaller side of the matrix, as in the released code.
    n_steps : int
        Steps of each network.
    learning_rate : float
        Of GroupRMSprop.
    n_records : int
        Records at equal distances; each decomposes the matrix.
    depths : tuple of int
        Depth 1 is the matrix itself.
    """

    width: int | None
    n_steps: int
    learning_rate: float
    n_records: int
    depths: tuple[int, ...] = (1, 2, 3)


DEFAULT = Plan(width=50, n_steps=10_000, learning_rate=3e-2, n_records=30)
FULL = Plan(width=None, n_steps=20_000, learning_rate=1e-2, n_records=60)


def part(settings: Settings, path: Path, plan: Plan | None = None) -> Part:
    """Complete the ratings at several depths, with a fifth of them held out.

    Parameters
    ----------
    settings : Settings
        Grid, seed, threads, and where news go.
    path : Path
        What `datasets.movielens_100k`, `movielens_1m` or `ratings` reads.
    plan : Plan, optional
        Default: `FULL` or `DEFAULT`, as the settings say.

    Raises
    ------
    ValueError
        If the file is no such file or has fewer than 10 ratings.
    """
    plan = plan or (FULL if settings.full else DEFAULT)
    ratings = _read(path)
    n_users, n_items = ratings.shape
    _, held_out = ratings.split(_HELD_OUT, settings.seed)
    problem = ratings.completion(_HELD_OUT, settings.seed)
    settings.say(
        f"movielens: {ratings.values.size:,} ratings of {n_items:,} items by {n_users:,} users"
    )
    _announce(problem, plan, settings)
    with ThreadPoolExecutor(min(settings.threads, len(plan.depths))) as pool:
        paths = list(pool.map(lambda depth: _path(problem, plan, depth, settings), plan.depths))
    data = xr.concat(paths, xr.DataArray(list(plan.depths), dims="depth", name="depth"))
    for name, (error, text) in _baselines(problem, ratings, held_out).items():
        data[name] = ((), error, _words(f"mean square error on held-out ratings of {text}"))
    width = _width(problem, plan)
    data.attrs = {
        "shape": problem.shape,
        "hidden_width": width,
        "learning_rate": plan.learning_rate,
    }
    used = (
        f"{ratings.values.size:,} ratings of {n_items:,} items by {n_users:,} users from "
        f"{path.name}, a fifth of them held out; hidden width {width}"
    )
    return Part("movielens", data, _figure(data), _outcomes(data), used)


def _read(path: Path) -> Ratings:
    try:
        ratings = ratings_at(path)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise ValueError(f"ratings: {str(error).removeprefix('path: ')}") from error
    if len(ratings) < _FEWEST:
        raise ValueError(
            f"ratings: expected at least {_FEWEST} ratings, got {len(ratings)} in {path}"
        )
    return ratings


def _width(problem: MatrixCompletion, plan: Plan) -> int:
    return min(problem.shape) if plan.width is None else min(plan.width, *problem.shape)


def _run(
    problem: MatrixCompletion, plan: Plan, depth: int, seed: int, record: Record, n: int
) -> Trajectory:
    widths = [problem.shape[1], *[_width(problem, plan)] * (depth - 1), problem.shape[0]]
    start = initialization.gaussian(
        widths, _SCALE, np.random.default_rng([seed, depth]), dtype=recovery.DTYPE
    )
    method = recovery.method(plan.learning_rate)
    return unbroken(run(problem, start, method, n_steps=n, record=record, progress=False))


def _announce(problem: MatrixCompletion, plan: Plan, settings: Settings) -> None:
    """Say how long it will take, from a few steps of every depth."""
    seconds = []
    for depth in plan.depths:
        record = Record(_QUANTITIES, steps=[0])
        began = time.monotonic()
        _run(problem, plan, depth, settings.seed, record, 1)
        one = time.monotonic() - began
        began = time.monotonic()
        _run(problem, plan, depth, settings.seed, record, 1 + _TRIED_STEPS)
        step = max(0.0, time.monotonic() - began - one) / _TRIED_STEPS
        seconds.append(step * plan.n_steps + one / 2 * plan.n_records)
    expected = max(max(seconds), sum(seconds) / settings.threads)
    settings.say(
        f"movielens: {plan.n_steps:,} steps at depth {', '.join(map(str, plan.depths))}, about "
        f"{expected / 60:.1f} minutes"
    )


def _path(problem: MatrixCompletion, plan: Plan, depth: int, settings: Settings) -> xr.Dataset:
    record = Record(_QUANTITIES, every=max(1, plan.n_steps // plan.n_records))
    trajectory = _run(problem, plan, depth, settings.seed, record, plan.n_steps)
    return trajectory.data[[*_KEPT]].drop_vars("time").isel(mode=slice(_N_MODES))


def _baselines(
    problem: MatrixCompletion, ratings: Ratings, held_out: IndexArray
) -> dict[str, tuple[float, str]]:
    """Return the errors of predictions by means over the ratings that are not held out."""
    arrays = ratings.users, ratings.items, ratings.values
    rows, columns, values = (array[held_out] for array in arrays)
    mean = float(problem.values.mean())
    rest = problem.values - mean
    of_items = _group_means(problem.columns, rest, problem.shape[1])
    of_users = _group_means(problem.rows, rest - of_items[problem.columns], problem.shape[0])
    predictions = {
        "mean_error": (mean, "the mean of all ratings"),
        "item_mean_error": (mean + of_items[columns], "the mean of each item"),
        "bias_error": (
            mean + of_items[columns] + of_users[rows],
            "the mean of each item, plus the mean of what each user's ratings add to it",
        ),
    }
    return {
        name: (float(np.mean((values - guess) ** 2)), text)
        for name, (guess, text) in predictions.items()
    }


def _group_means(groups: IndexArray, values: FloatArray, count: int) -> FloatArray:
    """Return the mean of each group, 0 of an empty one."""
    sums = np.bincount(groups, values, minlength=count)
    means: FloatArray = sums / np.maximum(1, np.bincount(groups, minlength=count))
    return means


def _words(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": "definition"}


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    rows = [_held_out(data.sel(depth=depth)) for depth in data["depth"].values]
    return (*rows, _ranks(data))


def _best(path: xr.Dataset) -> xr.Dataset:
    """Return the record with the smallest error on what is held out."""
    return path.isel(step=int(path["held_out_error"].fillna(np.inf).argmin("step")))


def _held_out(path: xr.Dataset) -> Outcome:
    best = _best(path)
    means = ", ".join(f"{float(path[name]):.4g}" for name in _LINES)
    return Outcome(
        f"MovieLens, depth {int(path['depth'])}: smallest mean square error on held-out ratings, "
        "and at the last step; of predictions by the mean, by item means, by item and user means",
        "-",
        f"{float(best['held_out_error']):.4g} (step {int(best['step']):,}), "
        f"{float(path['held_out_error'][-1]):.4g}; {means} (one seed)",
        None,
    )


def _ranks(data: xr.Dataset) -> Outcome:
    depths = data["depth"].values.tolist()
    ranks = [float(_best(data.sel(depth=depth))["effective_rank"]) for depth in depths]
    return Outcome(
        "MovieLens: effective rank where the held-out error is smallest, at depth "
        + ", ".join(map(str, depths)),
        "the deeper, the lower",
        ", ".join(f"{rank:.3g}" for rank in ranks) + " (one seed)",
        bool(np.all(np.diff(ranks) < 0.0)),
    )


_LINES = {"mean_error": ":", "item_mean_error": "-.", "bias_error": "--"}


def _figure(data: xr.Dataset) -> "Figure":
    depths = data["depth"].values.tolist()
    figure, axes = panels(2, (len(depths) + 2) // 2)
    _draw_errors(axes[0], data)
    for panel, depth in zip(axes[1:], depths, strict=False):
        path = data.sel(depth=depth)
        panel.plot(path["step"].values, path["singular_value"].values, color=COLORS[0])
        panel.set(xlabel="step", yscale="log", ylabel="ten largest singular values of W")
        panel.set_title(f"depth {depth}", fontsize="medium")
        panel.margins(x=0)
    for unused in axes[len(depths) + 1 :]:
        unused.remove()
    return figure


def _draw_errors(panel: "Axes", data: xr.Dataset) -> None:
    for depth, color in zip(data["depth"].values.tolist(), COLORS, strict=False):
        path = data.sel(depth=depth)
        error = path["held_out_error"].values
        panel.plot(path["step"].values, error, color=color, label=f"depth {depth}")
    labels = ("mean of all", "mean of the item", "item and user")
    for (name, style), label in zip(_LINES.items(), labels, strict=True):
        panel.axhline(float(data[name]), color="0.3", linestyle=style, linewidth=1.2, label=label)
    panel.set(xlabel="step", yscale="log", ylabel="mean square error, held-out ratings")
    panel.margins(x=0)
    panel.legend(fontsize="small")
