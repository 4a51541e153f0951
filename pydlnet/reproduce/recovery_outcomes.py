"""What the papers say of recovery beside what came out, and the figure of it."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .drawing import COLORS, panels, spread
from .recovery import LOSS, MEASURES
from .report import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "outcomes"]

_GOOD = 1e-3  # mean square error of a recovery: the entries have mean square 1

_LABELS = {
    "reconstruction_error": "mean square error, all entries",
    "effective_rank": "effective rank",
    "nuclear_norm": "nuclear norm / ground truth's",
}
_LINES = {"baseline": ("least nuclear norm", "--"), "truth": ("ground truth", ":")}
_MARKERS = "osv^"


def outcomes(data: xr.Dataset, what: str) -> tuple[Outcome, ...]:
    """Return the rows of the table.

    Parameters
    ----------
    data : Dataset
        As `recovery.dataset` returned it.
    what : str
        What the rows are about, such as "completion".
    """
    few, many = data["observations"].values[[0, -1]].tolist()
    deep = [depth for depth in data["depth"].values.tolist() if depth > 2]
    rows = [_fitted(data, what)]
    rows += [_deeper_is_nearer(data.sel(observations=few), depth, what) for depth in deep]
    rows += [_lower_rank(data.sel(observations=few), depth, what) for depth in deep]
    rows += [_larger_norm(data.sel(observations=few), depth, what) for depth in deep]
    return (*rows, *_all_recover(data.sel(observations=many), what))


def _setting(data: xr.Dataset, what: str) -> str:
    size, rank = data.attrs["shape"][0], data.attrs["rank"]
    return f"{what}, {size} x {size}, rank {rank}, {int(data['observations']):,} observations"


def _fitted(data: xr.Dataset, what: str) -> Outcome:
    reached = (data["loss"] <= LOSS).values
    steps = data["steps"].values[reached]
    return Outcome(
        f"{what}: networks that fit what they observe (mean square error 1e-6)",
        "all, within 1,000,000 steps",
        f"{np.count_nonzero(reached)} of {reached.size}; steps {spread(steps)}",
        bool(reached.all()),
    )


def _deeper_is_nearer(data: xr.Dataset, depth: int, what: str) -> Outcome:
    error = data["reconstruction_error"]
    ratio = (error.sel(depth=2) / error.sel(depth=depth)).values
    return Outcome(
        f"{_setting(data, what)}: error of depth 2 over that of depth {depth}",
        "far above 1: depths 3 and 4 recover the matrix, depth 2 less well",
        f"{spread(ratio)}, over scales and seeds; errors of depth {depth} "
        f"{spread(error.sel(depth=depth).values)}",
        bool(np.min(ratio) > 1.0 and np.median(ratio) > 2.0),
    )


def _lower_rank(data: xr.Dataset, depth: int, what: str) -> Outcome:
    rank, least = data["effective_rank"], data["baseline_effective_rank"]
    deep, shallow = rank.sel(depth=depth), rank.sel(depth=2)
    below = (deep < shallow) & (deep < least)
    return Outcome(
        f"{_setting(data, what)}: effective rank at depth {depth}, at depth 2, of the matrix of "
        "least nuclear norm",
        "lower at depth 3 and 4 than at depth 2 and than the convex solution",
        f"{spread(deep.values)}, {spread(shallow.values)}, {spread(least.values)}",
        bool(below.all()),
    )


def _larger_norm(data: xr.Dataset, depth: int, what: str) -> Outcome:
    excess = (data["nuclear_norm"].sel(depth=depth) / data["baseline_nuclear_norm"] - 1.0).values
    gain = (
        data["baseline_reconstruction_error"] / data["reconstruction_error"].sel(depth=depth)
    ).values
    return Outcome(
        f"{_setting(data, what)}: nuclear norm at depth {depth} above the least one, in percent; "
        "error of the least one over that of the network",
        "larger norm, smaller error",
        f"{spread(100.0 * excess)}; {spread(gain)}",
        bool(np.all(excess > 0.0) and np.all(gain > 1.0)),
    )


def _all_recover(data: xr.Dataset, what: str) -> tuple[Outcome, Outcome]:
    networks = data.sel(depth=data["depth"] > 1)
    worst = float(networks["reconstruction_error"].max())
    smallest = data["init_scale"].min()
    near = networks["nuclear_norm"].sel(init_scale=smallest) / data["baseline_nuclear_norm"] - 1.0
    errors = networks["reconstruction_error"].values
    convex = data["baseline_reconstruction_error"].values
    return (
        Outcome(
            f"{_setting(data, what)}: error at depth 2 and more, of the convex solution",
            "all recover the matrix",
            f"{spread(errors)}; {spread(convex)}",
            bool(worst <= _GOOD and convex.max() <= _GOOD),
        ),
        Outcome(
            f"{_setting(data, what)}: nuclear norm at depth 2 and more above the least one, in "
            f"percent, starts of Frobenius norm {float(_start_norm(data, smallest)):.2g}",
            "all agree as the scale goes to 0",
            spread(100.0 * near.values),
            bool(abs(near).max() <= 0.01),
        ),
    )


def _start_norm(data: xr.Dataset, scale: xr.DataArray) -> xr.DataArray:
    """Return the Frobenius norm at step 0, as it is on average."""
    norm: xr.DataArray = scale * np.sqrt(data.attrs["shape"][0])
    return norm


def draw(data: xr.Dataset, what: str) -> "Figure":
    """Return a figure: each measure over the scale of the start, a column a number observed.

    Parameters
    ----------
    data : Dataset
        As `recovery.dataset` returned it.
    what : str
        As in `outcomes`.
    """
    counts = data["observations"].values.tolist()
    figure, axes = panels(len(MEASURES), len(counts), width=5.0, height=3.0)
    for place, panel in enumerate(axes):
        measure = list(MEASURES)[place // len(counts)]
        _draw_measure(panel, data.isel(observations=place % len(counts)), measure)
    for panel, count in zip(axes, counts, strict=False):
        panel.set_title(f"{what}: {count:,} observations", fontsize="medium")
    handles = dict(zip(*reversed(axes[-1].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
    return figure


def _draw_measure(panel: "Axes", data: xr.Dataset, measure: str) -> None:
    norms = _start_norm(data, data["init_scale"]).values
    share = data["truth_nuclear_norm"] if measure == "nuclear_norm" else xr.ones_like(data["seed"])
    scaled = (data[measure] / share).transpose("depth", "init_scale", "seed")
    lines = {
        whose: float(np.median(data[f"{whose}_{measure}"] / share))
        for whose in _LINES
        if f"{whose}_{measure}" in data
    }
    for depth, color, marker in zip(data["depth"].values.tolist(), COLORS, _MARKERS, strict=False):
        values = scaled.sel(depth=depth).values
        middle, low, high = np.median(values, axis=1), values.min(axis=1), values.max(axis=1)
        panel.errorbar(
            norms, middle, (middle - low, high - middle), marker=marker, color=color,
            capsize=3, markerfacecolor="none", label=f"depth {depth}",
        )  # fmt: skip
    for whose, level in lines.items():
        label, style = _LINES[whose]
        panel.axhline(level, color="0.3", linestyle=style, linewidth=1.2, label=label)
    panel.set(xscale="log", xlabel="Frobenius norm of the start", ylabel=_LABELS[measure])
    if measure == "reconstruction_error":
        panel.set_yscale("log")
        panel.set_ylim(bottom=max(panel.get_ylim()[0], 1e-7))
        _note(panel, lines["baseline"], "least nuclear norm", 0.04, "bottom")
    elif scaled.sizes["depth"] > 1:
        _leave_out_depth_1(panel, scaled, list(lines.values()))


def _leave_out_depth_1(panel: "Axes", scaled: xr.DataArray, levels: list[float]) -> None:
    """Choose limits for the other depths: depth 1 is far above them."""
    others = scaled.sel(depth=scaled["depth"] > 1).values
    low, high = min(others.min(), *levels), max(others.max(), *levels)
    panel.set_ylim(low - 0.1 * (high - low), high + 0.25 * (high - low))
    _note(panel, float(scaled.sel(depth=1).median()), "depth 1", 0.96, "top")


def _note(panel: "Axes", value: float, name: str, height: float, side: str) -> None:
    """Say where something is that the limits leave out."""
    low, high = panel.get_ylim()
    if not low <= value <= high:
        panel.text(
            0.5, height, f"{name}: {value:.3g}", transform=panel.transAxes, ha="center", va=side,
            fontsize="small", color="0.3",
        )  # fmt: skip
