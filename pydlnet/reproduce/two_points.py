"""Depth as acceleration on two points: the analysis of l_p regression, where theory has a number.

The loss is (|w_1 - 1|^p + |w_2 - 0.02|^p) / p, from balanced starts near 0 with hidden width 1, at
half of the largest rate of each depth; `theory.lp_speedup` derives what comes out.

At half of its largest rate, depth 1 takes w_1 from 0 to its target in one step: from starts below
1e-3 it never has to bring that residual down, and depth gains less. So it does where w_2 starts on
its target. Entries of the starts here lie between, from 0.005 to 0.015.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .. import initialization as init
from .. import theory
from .._validation import FloatArray
from ..ensembles import EnsembleTrajectory, run_ensemble
from ..methods import GradientDescent
from ..problems import Regression
from ..recording import Record, Stop, log_spaced
from ..tuning import tune
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .report import Outcome, Part, Settings, dimension

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DEFAULT", "FULL", "Grid", "part"]

_TARGETS = (1.0, 0.02)
_LOSS = 1e-12
_FRACTION = 0.5
_ENTRIES = (0.005, 0.015)
_USED = "two points, inputs the unit vectors, outputs 1 and 0.02"


@dataclass(frozen=True)
class Grid:
    """Powers, depths, number of starts, most steps, and rates over the largest one."""

    powers: tuple[int, ...]
    depths: tuple[int, ...]
    n_starts: int
    n_steps: int
    fractions: tuple[float, ...]


DEFAULT = Grid((2, 4), (1, 2, 3), 8, 1_500_000, (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 1.1))
FULL = Grid(
    (2, 4, 6), (1, 2, 3, 4), 16, 6_000_000, tuple(np.round(np.arange(0.1, 1.21, 0.1), 1).tolist())
)


def part(settings: Settings, grid: Grid) -> Part:
    """Count the steps to a loss of 1e-12 at half of each depth's largest rate, and over a grid."""
    data = xr.merge([_fixed_fraction(grid, settings), _over_rates(grid, settings)])
    data["diverged_either_sign"] = _either_sign(grid, settings)
    data.attrs = {"targets": _TARGETS, "target_loss": _LOSS, "fraction": _FRACTION}
    return Part("two_points", data, _figure(data), _outcomes(data), _USED)


def _problem(power: int) -> Regression:
    return Regression(np.eye(2), np.array(_TARGETS), power=power, reduction="sum")


def _products(n_starts: int, seed: int) -> FloatArray:
    """Return end-to-end vectors near 0 that point to the side of the targets."""
    return np.random.default_rng([seed, 1]).uniform(*_ENTRIES, (n_starts, 1, 2))


def _layers(products: FloatArray, depth: int) -> list[list[FloatArray]]:
    return [init.balanced_from(product, (2, *[1] * depth)) for product in products]


def _run(
    power: int, depth: int, products: FloatArray, grid: Grid, settings: Settings
) -> EnsembleTrajectory:
    return unbroken(
        run_ensemble(
            _problem(power),
            _layers(products, depth),
            GradientDescent(_FRACTION * theory.lp_largest_rate(depth, power)),
            n_steps=grid.n_steps,
            record=Record(steps=log_spaced(300)),
            stop=Stop(loss=_LOSS),
            progress=False,
            threads=settings.threads,
        )
    )


def _fixed_fraction(grid: Grid, settings: Settings) -> xr.Dataset:
    """Return losses and steps at the same fraction of the largest rate of each depth."""
    products = _products(grid.n_starts, settings.seed)
    powers = []
    for power in grid.powers:
        settings.say(f"two points: l_{power}, {grid.n_starts} starts at each depth")
        depths = [_measure(power, depth, products, grid, settings) for depth in grid.depths]
        powers.append(xr.concat(depths, dimension("depth", grid.depths), join="outer"))
    return xr.concat(powers, dimension("power", grid.powers), join="outer")


def _measure(
    power: int, depth: int, products: FloatArray, grid: Grid, settings: Settings
) -> xr.Dataset:
    ensemble = _run(power, depth, products, grid, settings)
    data = ensemble.data.rename(run="start")
    converged = np.array(ensemble.status) == "converged"
    scalars = {
        "learning_rate": (_FRACTION * theory.lp_largest_rate(depth, power), "learning rate"),
        "predicted_speedup": (theory.lp_speedup(depth, power), "R(N, p) of theory.lp_speedup"),
    }
    measured = xr.Dataset(
        {name: ((), value, _words(text)) for name, (value, text) in scalars.items()}
    )
    steps = data["last_step"].where(converged).astype(np.float64)
    steps.attrs = _words("first step at which the loss is at most 1e-12")
    loss = data["loss"].drop_vars("time")
    return measured.assign(loss=loss, steps_to_target=steps)


def _over_rates(grid: Grid, settings: Settings) -> xr.Dataset:
    """Return the steps for l_4 at each of several fractions of the largest rate of each depth."""
    products = _products(grid.n_starts, settings.seed)
    settings.say(f"two points: l_4 over {len(grid.fractions)} rates at each depth")
    rows = []
    for depth in grid.depths:
        rates = theory.lp_largest_rate(depth, 4) * np.array(grid.fractions)
        starts = _layers(products, depth)
        tuning = tune(
            _problem(4), starts, GradientDescent(1.0), rates, _LOSS,
            n_steps=grid.n_steps, progress=False, threads=settings.threads,
        )  # fmt: skip
        rows.append(tuning.data["steps_to_target"].values)
    steps = ("depth", "start", "fraction"), np.array(rows), _words("steps to 1e-12 for l_4")
    coordinates = {
        "depth": list(grid.depths),
        "start": np.arange(grid.n_starts),
        "fraction": ("fraction", list(grid.fractions), _words("rate over the largest one")),
    }
    return xr.Dataset({"steps_over_rates": steps}, coordinates)


def _either_sign(grid: Grid, settings: Settings) -> xr.DataArray:
    """Return which starts diverge for l_4 if they may point away from the targets, too."""
    signs = np.random.default_rng([settings.seed, 2]).choice([-1.0, 1.0], (grid.n_starts, 1, 2))
    products = signs * _products(grid.n_starts, settings.seed)
    ends = [_run(4, depth, products, grid, settings).status for depth in grid.depths]
    return xr.DataArray(
        np.array(ends) == "diverged",
        {"depth": list(grid.depths), "start": np.arange(grid.n_starts)},
        attrs=_words("whether a start of either sign diverges for l_4"),
    )


def _words(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": "arXiv:1802.06509"}


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    deep = [int(depth) for depth in data["depth"].values if depth > 1]
    rows = [_gain(data, power, depth) for power in data["power"].values.tolist() for depth in deep]
    return (*rows, *(_best_gain(data, depth) for depth in deep), _divergence(data))


def _gain(data: xr.Dataset, power: int, depth: int) -> Outcome:
    """Compare with theory: at least R(N, p) times fewer steps for p > 2, none for p = 2."""
    steps = data["steps_to_target"].sel(power=power)
    gain = (steps.sel(depth=1) / steps.sel(depth=depth)).values
    expected = float(data["predicted_speedup"].sel(power=power, depth=depth))
    if power == 2:
        said, reached, agrees = "no gain", "", bool(np.all(gain <= 1.0))
    else:
        said = f"a gain; theory: at least R({depth}, {power}) = {expected:.3g} times"
        reached = f"; {np.count_nonzero(gain >= expected)} of {gain.size} reach R"
        agrees = bool(np.all(gain >= expected))
    return Outcome(
        f"l_{power} on two points, each depth at half of its largest rate: steps to a loss of "
        f"1e-12, depth 1 over depth {depth}",
        said,
        spread(gain) + reached,
        None if np.isnan(gain).any() else agrees,  # a start that does not reach the loss
    )


def _best_gain(data: xr.Dataset, depth: int) -> Outcome:
    best = data["steps_over_rates"].fillna(np.inf).min("fraction")
    gain = (best.sel(depth=1) / best.sel(depth=depth)).values
    return Outcome(
        f"l_4 on two points, every start at its own best rate of the grid: depth 1 over {depth}",
        "a gain; depends erratically on rate and start",
        spread(np.where(np.isfinite(gain), gain, np.nan)),
        None,
    )


def _divergence(data: xr.Dataset) -> Outcome:
    counts = data["diverged_either_sign"].sum("start").values
    n_starts = data.sizes["start"]
    said = ", ".join(
        f"depth {depth}: {count} of {n_starts}"
        for depth, count in zip(data["depth"].values, counts, strict=True)
    )
    return Outcome(
        "l_4 on two points at half of the largest rate, starts that may point away from the "
        "targets: how many diverge",
        "- (the largest rate is derived for starts on the side of the targets)",
        said,
        None,
    )


def _figure(data: xr.Dataset) -> "Figure":
    powers = data["power"].values.tolist()
    figure, axes = panels(1, len(powers) + 1)
    for panel, power in zip(axes, powers, strict=False):
        _draw_losses(panel, data.sel(power=power, start=0))
        panel.set_title(
            rf"$\ell_{power}$, each depth at half of its largest rate", fontsize="medium"
        )
    _draw_rates(axes[-1], data)
    return figure


def _draw_losses(panel: "Axes", data: xr.Dataset) -> None:
    lowest = 0.1 * _LOSS  # where losses of zero are drawn, too
    for depth, color in zip(data["depth"].values.tolist(), COLORS, strict=False):
        loss = data["loss"].sel(depth=depth).dropna("step")
        heights = np.maximum(loss.values, lowest)
        panel.plot(
            loss["step"].values, heights, ".-", markersize=3, color=color, label=f"depth {depth}"
        )
    panel.axhline(_LOSS, color="0.6", linewidth=0.8, linestyle=":")
    panel.set(xscale="symlog", yscale="log", xlabel="step", ylabel="loss")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0.5 * lowest)
    panel.legend()


def _draw_rates(panel: "Axes", data: xr.Dataset) -> None:
    for depth, color in zip(data["depth"].values.tolist(), COLORS, strict=False):
        steps = data["steps_over_rates"].sel(depth=depth)
        panel.plot(steps["fraction"].values, steps.values.T, color=color, alpha=0.35, linewidth=0.8)
        median = steps.median("start", skipna=False).values
        panel.plot(steps["fraction"].values, median, "o-", color=color, label=f"depth {depth}")
    panel.set(
        yscale="log", xlabel="learning rate / largest rate", ylabel="steps to a loss of 1e-12"
    )
    panel.set_title(r"$\ell_4$ over the rates (thin: each start)", fontsize="medium")
    panel.legend()
