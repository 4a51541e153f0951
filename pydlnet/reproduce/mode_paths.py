"""The singular values of the end-to-end matrix along the way, and what theory says of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .. import chain, initialization, metrics, theory
from ..problems import MatrixCompletion
from ..recording import Record, Stop
from ..simulate import run
from . import recovery
from .drawing import COLORS, panels
from .experiment import unbroken
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DEFAULT", "Case", "part"]

_DEPTHS = (1, 2, 3, 4)
_SCALE = 1e-3  # standard deviation of the entries of the end-to-end matrix at the start
_N_MODES = 10
_EVERY = 100
_RATE = 1e-3
_MAX_STEPS = 200_000
_QUANTITIES = (
    "loss",
    "reconstruction_error",
    "singular_values",
    "singular_vectors",
    "alignment",
    "end_to_end",
)
_KEPT = (
    "loss",
    "reconstruction_error",
    "singular_value",
    "predicted_singular_value",
    "singular_value_velocity",
    "alignment",
)
_MEANS = {"diagonal": "s = r", "off_diagonal": "s != r"}


@dataclass(frozen=True)
class Case:
    """Which matrix is completed.

    Attributes
    ----------
    size, rank, n_observed : int
        Of a square matrix.
    """

    size: int
    rank: int
    n_observed: int


DEFAULT = Case(100, 5, 2000)


def part(settings: Settings, case: Case) -> Part:
    """Follow the singular values at several depths, beside Theorem 3 of the paper.

    Parameters
    ----------
    settings : Settings
        Seed, threads, and where news go.
    case : Case
        Which matrix.
    """
    shape = (case.size, case.size)
    problem = MatrixCompletion.synthetic(shape, case.rank, case.n_observed, settings.seed)
    settings.say(f"singular values: depth {', '.join(map(str, _DEPTHS))}")
    with ThreadPoolExecutor(min(settings.threads, len(_DEPTHS))) as pool:
        # The deepest first: they take longest.
        paths = list(pool.map(lambda depth: _path(problem, depth, settings), _DEPTHS[::-1]))[::-1]
    data = xr.concat(paths, xr.DataArray(list(_DEPTHS), dims="depth", name="depth"), join="outer")
    truth = metrics.singular_values(np.asarray(problem.ground_truth))[: data.sizes["mode"]]
    data["true_singular_value"] = ("mode", truth, _words("singular value of the ground truth"))
    data.attrs = {"shape": problem.shape, "rank": case.rank, "n_observed": case.n_observed}
    used = (
        f"synthetic: {case.n_observed:,} entries of a random {case.size} x {case.size} matrix of "
        f"rank {case.rank}"
    )
    return Part("singular_values", data, _figure(data), _outcomes(data), used)


def _path(problem: MatrixCompletion, depth: int, settings: Settings) -> xr.Dataset:
    """Return what the first modes of one network do."""
    widths = [problem.shape[1], *[problem.shape[0]] * depth]
    trajectory = unbroken(
        run(
            problem,
            initialization.balanced(widths, _SCALE / np.sqrt(problem.shape[1]), settings.seed),
            recovery.method(_RATE),
            n_steps=_MAX_STEPS,
            record=Record(_QUANTITIES, every=_EVERY),
            stop=Stop(loss=recovery.LOSS),
            progress=False,
        )
    )
    data = _sorted(theory.compare_singular_values(trajectory))
    kept = data[[*_KEPT]].reset_coords("time")
    return kept.assign(_couplings(problem, data))


def _sorted(data: xr.Dataset) -> xr.Dataset:
    """Return the modes that are the largest at the end, in that order."""
    order = np.argsort(-data["singular_value"].values[-1])[:_N_MODES]
    return data.isel(mode=order).assign_coords(mode=np.arange(order.size))


def _couplings(problem: MatrixCompletion, data: xr.Dataset) -> dict[str, Any]:
    """Return how large the gradient is on and off the diagonal, in the singular vectors of W."""
    left = data["left_singular_vector"].transpose("step", "output", "mode").values
    right = data["right_singular_vector"].transpose("step", "input", "mode").values
    diagonal = np.eye(left.shape[-1], dtype=np.bool_)
    means = []
    for u, v, matrix in zip(left, right, data["end_to_end"].values, strict=True):
        _, gradient = problem.value_and_gradient(matrix)
        inner = np.abs(chain.product([v, gradient, u.T]))
        means.append((inner[diagonal].mean(), inner[~diagonal].mean()))
    return {
        name: ("step", values, _words(f"mean |u_r^T G v_s| over the modes with {which}"))
        for (name, which), values in zip(_MEANS.items(), np.array(means).T, strict=True)
    }


def _words(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": "arXiv:1905.13655"}


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    depths = data["depth"].values.tolist()
    return (_separation(data), *(_theory(data, depth) for depth in depths), _alignment(data))


def _last(data: xr.Dataset) -> xr.Dataset:
    """Return the last record of one depth."""
    return data.dropna("step", how="all", subset=["loss"]).isel(step=-1)


def _separation(data: xr.Dataset) -> Outcome:
    """Compare the largest singular value that is not in the truth with the smallest that is."""
    rank = data.attrs["rank"]
    ratios = []
    for depth in data["depth"].values.tolist():
        values = _last(data.sel(depth=depth))["singular_value"].values
        ratios.append(float(values[rank] / values[rank - 1]))
    return Outcome(
        f"singular values at the end: number {rank + 1} over number {rank}, the rank, at depth "
        + ", ".join(str(depth) for depth in data["depth"].values),
        "the deeper, the more separate",
        ", ".join(f"{ratio:.3g}" for ratio in ratios) + " (one seed)",
        bool(np.all(np.diff(ratios) < 0.0)),
    )


def _theory(data: xr.Dataset, depth: int) -> Outcome:
    """Compare each singular value with the one before, moved on by Theorem 3."""
    path = data.sel(depth=depth).dropna("step", how="all", subset=["loss"])
    value, predicted = path["singular_value"].values, path["predicted_singular_value"].values
    large = value > 1e-2 * np.nanmax(value)
    gap = np.abs(predicted / value - 1.0)[1:][large[1:]]
    gap = gap[np.isfinite(gap)]
    middle, high = np.quantile(gap, [0.5, 0.95])
    return Outcome(
        f"depth {depth}: singular values against Theorem 3 from one record to the next, relative "
        "difference where they are above 1 % of the largest",
        "equal for gradient flow from balanced layers",
        f"median {middle:.2g}, 95 % below {high:.2g} ({gap.size:,} values, one seed)",
        bool(middle <= 0.01),
    )


def _alignment(data: xr.Dataset) -> Outcome:
    """Compare the gradient off the diagonal with that on it, over the records of each depth."""
    ratios = []
    for depth in data["depth"].values.tolist():
        path = data.sel(depth=depth).dropna("step", how="all", subset=["loss"])
        ratios.append(float((path["off_diagonal"] / path["diagonal"]).median()))
    return Outcome(
        "gradient in the singular vectors of W, mean size off the diagonal over that on it, median "
        "over the records, at depth " + ", ".join(str(depth) for depth in data["depth"].values),
        "off the diagonal much smaller",
        ", ".join(f"{ratio:.2g}" for ratio in ratios) + " (one seed)",
        None,
    )


def _figure(data: xr.Dataset) -> "Figure":
    depths = data["depth"].values.tolist()
    figure, axes = panels(2, len(depths), width=3.8, height=3.2)
    for place, depth in enumerate(depths):
        path = data.sel(depth=depth).dropna("step", how="all", subset=["loss"])
        _draw_values(axes[place], path)
        axes[place].set_title(f"depth {depth}", fontsize="medium")
        _draw_couplings(axes[place + len(depths)], path)
    axes[0].legend(fontsize="small")
    axes[len(depths)].legend(fontsize="small")
    return figure


def _draw_values(panel: "Axes", path: xr.Dataset) -> None:
    truth = path["true_singular_value"].values[: path.attrs["rank"]]
    for level, label in zip(truth, ["ground truth", *[None] * (truth.size - 1)], strict=True):
        panel.axhline(level, color="0.4", linestyle="--", linewidth=0.8, zorder=0.5, label=label)
    lines = panel.plot(path["step"].values, path["singular_value"].values, color=COLORS[0])
    lines[0].set_label("recorded")
    sparse = path.isel(step=slice(None, None, max(1, path.sizes["step"] // 25)))
    predicted = sparse["predicted_singular_value"].values
    dots = panel.plot(sparse["step"].values, predicted, "o", color=COLORS[1], markersize=2.5)
    dots[0].set_label("Theorem 3, from the record before")
    panel.set(xlabel="step", ylabel="ten largest singular values of W")
    panel.locator_params(axis="x", nbins=4)  # numbers of five digits, four panels in a row
    panel.set_ylim(0.0, 1.1 * truth[0])
    panel.margins(x=0)


def _draw_couplings(panel: "Axes", path: xr.Dataset) -> None:
    labels = {"diagonal": "r = s", "off_diagonal": "r ≠ s"}
    for (name, label), color in zip(labels.items(), COLORS, strict=False):
        panel.plot(path["step"].values, path[name].values, color=color, label=label)
    panel.set(xlabel="step", yscale="log")
    panel.locator_params(axis="x", nbins=4)
    panel.set_ylabel(r"mean $|u_r^\top \nabla\ell\, v_s|$")
    panel.margins(x=0)
