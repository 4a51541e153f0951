"""Which scales of the start converge: layers drawn one by one against balanced ones.

Scalar least squares on whitened inputs, scaled so that the target has norm 1: the data enters by
the direction of the target only, which the starts, whose law no rotation changes, do not see. So
every target of norm 1 gives the same statistics, whatever the measurements.

Runs go on in the coordinates of `bases.compress`, exactly: 128 inputs become the target and what
the first layer sees; a balanced network becomes one of width 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import chain, datasets, metrics
from .. import initialization as init
from .._validation import FloatArray
from ..bases import compress
from ..ensembles import run_ensemble
from ..methods import GradientDescent
from ..problems import TargetMatrix, whiten
from ..recording import Record, Stop
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .labels import stacked, words
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["HIDDEN", "N_INPUTS", "part", "target"]

N_INPUTS, HIDDEN = 128, 32
_LOSS = 1e-5
_FEW_HUNDRED = 500
_KINDS = {
    "layer-wise": "layer-wise: entries of every layer",
    "balanced": "balanced: entries of the product",
    "rebalanced": "layer-wise product, then balanced: entries of the layers drawn",
}
# Beyond this step a start goes on at its largest stable rates only: a plateau takes a time, the
# sum of the rates, so that smaller ones take more steps.
_LONG, _LARGEST_RATES = 100_000, 2

Layers = list[NDArray[np.float64]]


@dataclass(frozen=True)
class _Grid:
    """What is run; steps are counted up to the last limit, the others are where it is pruned."""

    deviations: tuple[float, ...]
    rates: tuple[float, ...]
    n_starts: int
    limits: tuple[int, ...]
    depths: tuple[int, ...] = (3, 8)
    hidden: int = HIDDEN


def _geometric(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(np.geomspace(first, last, count).tolist())


_DEFAULT = _Grid(_geometric(1e-3, 1.0, 13), _geometric(1e-4, 1.0, 9), 3, (1000, 10_000))
_FULL = _Grid(
    _geometric(1e-3, 1.0, 19), _geometric(1e-4, 1.0, 9), 3, (1000, 10_000, 100_000, 1_000_000)
)


def target(settings: Settings) -> tuple[TargetMatrix, str]:
    """Return least squares on whitened inputs with a target of norm 1, and what it is made of."""
    if settings.data is None:
        direction = np.random.default_rng([settings.seed, 1]).standard_normal((1, N_INPUTS))
        used = f"a random direction of norm 1 in {N_INPUTS} dimensions, which stands for any data"
    else:
        inputs, outputs = datasets.gas_sensor(settings.data)
        direction = whiten(inputs - inputs.mean(axis=0), outputs).problem.target
        used = f"gas sensors, ethanol, {len(inputs)} measurements, centred and whitened"
    return TargetMatrix(direction / metrics.singular_values(direction)[0]), used


def part(settings: Settings) -> Part:
    """Count the steps at the best of several rates over the standard deviation of the start."""
    return _part(_FULL if settings.full else _DEFAULT, settings)


def _part(grid: _Grid, settings: Settings) -> Part:
    problem, used = target(settings)
    depths = [_of_depth(depth, problem, grid, settings) for depth in grid.depths]
    data = stacked(depths, "depth", grid.depths)
    data.attrs = {"target_loss": _LOSS, "largest_step": grid.limits[-1], "hidden": grid.hidden}
    return Part("start_scales", data, _figure(data), tuple(_outcomes(data)), used)


def _of_depth(depth: int, problem: TargetMatrix, grid: _Grid, settings: Settings) -> xr.Dataset:
    starts = _starts(depth, problem, grid, settings.seed)
    kinds = []
    for kind, layers in starts.items():
        settings.say(
            f"depth {depth}, {kind} starts: {len(layers)} at {len(grid.rates)} rates, "
            f"up to {grid.limits[-1]:,} steps"
        )
        steps = _search(_reduced(problem, layers, kind != "layer-wise"), grid, settings.threads)
        norms = np.array([metrics.singular_values(chain.product(start))[0] for start in layers])
        kinds.append(_dataset(steps, norms, grid))
    return stacked(kinds, "kind", tuple(starts))


def _starts(depth: int, problem: TargetMatrix, grid: _Grid, seed: int) -> dict[str, list[Layers]]:
    """Return the starts of each kind: those of every deviation together."""
    widths = (problem.target.shape[1], *[grid.hidden] * (depth - 1), 1)
    starts: dict[str, list[Layers]] = {kind: [] for kind in _KINDS}
    for place, deviation in enumerate(grid.deviations):
        for number in range(grid.n_starts):
            rng = np.random.default_rng([seed, 2, depth, place, number])
            layers = init.gaussian(widths, std=deviation, rng=rng)
            starts["layer-wise"].append(layers)
            starts["balanced"].append(init.balanced(widths, deviation, rng))
            starts["rebalanced"].append(init.balanced_from(chain.product(layers), widths))
    return starts


class _Reduced(NamedTuple):
    """The same descent in fewer coordinates."""

    problem: TargetMatrix
    layers: Layers


def _reduced(problem: TargetMatrix, starts: Sequence[Layers], by_rank: bool) -> list[_Reduced]:
    reduced = []
    for layers in starts:
        found = compress(problem, layers, batches=False, by_rank=by_rank)
        if found is None:
            reduced.append(_Reduced(problem, layers))
        else:
            inside = TargetMatrix(found.split(problem.target)[0])
            reduced.append(_Reduced(inside, found.project(layers)))
    return reduced


def _search(starts: Sequence[_Reduced], grid: _Grid, threads: int) -> FloatArray:
    """Return steps to the loss, (start, rate); NaN where the run failed or another was faster.

    A start goes on only as long as no rate has brought it to the loss: those that are left cannot
    be its best.
    """
    steps = np.full((len(starts), len(grid.rates)), np.nan)
    going = [
        (start, rate, starts[start].layers)
        for start in range(len(starts))
        for rate in range(len(grid.rates))
        if not _stays_small(starts[start].layers, grid.rates[rate] * grid.limits[-1])
    ]
    done = 0
    for limit in grid.limits:
        if not going:
            break
        ensemble = unbroken(
            run_ensemble(
                [starts[start].problem for start, _, _ in going],
                [layers for _, _, layers in going],
                [GradientDescent(grid.rates[rate]) for _, rate, _ in going],
                n_steps=limit - done,
                record=Record(every=limit - done),
                stop=Stop(loss=_LOSS),
                progress=False,
                threads=threads,
            )
        )
        for (start, rate, _), status, taken in zip(
            going, ensemble.status, ensemble.data["last_step"].values, strict=True
        ):
            if status == "converged":
                steps[start, rate] = done + taken
        done = limit
        left = [
            (start, rate, layers)
            for (start, rate, _), status, layers in zip(
                going, ensemble.status, ensemble.weights, strict=True
            )
            if status == "finished" and np.isnan(steps[start]).all()
        ]
        going = _largest_rates(left) if done >= _LONG else left
    return steps


def _largest_rates(going: list[tuple[int, int, Layers]]) -> list[tuple[int, int, Layers]]:
    rates: dict[int, list[int]] = {}
    for start, rate, _ in going:
        rates.setdefault(start, []).append(rate)
    return [run for run in going if run[1] in sorted(rates[run[0]])[-_LARGEST_RATES:]]


def _stays_small(layers: Layers, time: float) -> bool:
    """Say whether norms alone forbid that W gets near a target of norm 1 within the time.

    As long as no norm a_j has grown by more than a factor c, and the product of all by more than
    that leaves it below 1, the gradient of layer j is at most 2 c^(N-1) prod(a) / a_j. Growing
    that far takes a time of (c - 1) a_j^2 / (2 c^(N-1) prod(a)), the most for c = (N-1) / (N-2).
    """
    depth = len(layers)
    norms = np.array([metrics.singular_values(layer)[0] for layer in layers])
    factor = (depth - 1.0) / (depth - 2.0) if depth > 2 else 2.0
    product = float(np.prod(norms))
    needed = (factor - 1.0) * float(norms.min()) ** 2
    grown = time * 2.0 * factor ** (depth - 1) * product
    return factor**depth * product < 1.0 - np.sqrt(2.0 * _LOSS) and grown < needed


def _dataset(steps: FloatArray, norms: FloatArray, grid: _Grid) -> xr.Dataset:
    dims, shape = ("deviation", "start"), (len(grid.deviations), grid.n_starts)
    best = np.min(np.where(np.isnan(steps), np.inf, steps), axis=1)
    rates = np.array(grid.rates)[np.argmin(np.where(np.isnan(steps), np.inf, steps), axis=1)]
    variables = {
        "best_steps": (dims, np.where(np.isfinite(best), best, np.nan).reshape(shape),
                       words("steps to a loss of 1e-5 at the best rate")),
        "best_rate": (dims, np.where(np.isfinite(best), rates, np.nan).reshape(shape),
                      words("rate of the fewest steps")),
        "start_norm": (dims, norms.reshape(shape), words("norm of the end-to-end matrix")),
        "steps_to_target": ((*dims, "learning_rate"), steps.reshape(*shape, len(grid.rates)),
                            words("steps to a loss of 1e-5; NaN if not reached or not the best")),
    }  # fmt: skip
    coordinates = {
        "deviation": ("deviation", list(grid.deviations), words("standard deviation at step 0")),
        "start": np.arange(grid.n_starts),
        "learning_rate": ("learning_rate", list(grid.rates), words("learning rate")),
    }
    return xr.Dataset(variables, coordinates)


def _median_steps(data: xr.Dataset, kind: str, depth: int) -> FloatArray:
    """Return the median over the starts for each deviation, infinite if it is not reached."""
    steps = data["best_steps"].sel(kind=kind, depth=depth).fillna(np.inf).values
    median: FloatArray = np.median(steps, axis=1)
    return median


_SAID = {
    ("layer-wise", 3): "a window of stds takes at most a few hundred steps, others far more",
    ("layer-wise", 8): "a very narrow window; else no convergence in 10^6 steps",
    ("balanced", 3): "fast for almost all stds",
    ("balanced", 8): "fast for almost all stds",
}


def _outcomes(data: xr.Dataset) -> Iterator[Outcome]:
    for kind, said in _KINDS.items():
        for depth in data["depth"].values.tolist():
            median = _median_steps(data, kind, depth)
            yield Outcome(
                f"N = {depth}, {said} of std {data['deviation'].values[0]:g} to "
                f"{data['deviation'].values[-1]:g}: steps to a loss of {_LOSS:g} at the best rate",
                _SAID.get((kind, depth), "-"),
                _measured(data, kind, depth),
                _agrees(kind, depth, median),
            )


def _agrees(kind: str, depth: int, median: FloatArray) -> bool | None:
    """Judge what the paper says of the median start."""
    if (kind, depth) not in _SAID:
        return None
    fast = float(np.mean(median <= _FEW_HUNDRED))
    if kind == "balanced":
        return float(np.mean(np.isfinite(median))) >= 0.8
    # Orders of magnitude slower outside of the window.
    slow = float(np.mean(median >= 10 * _FEW_HUNDRED))
    return 0.0 < fast < 0.7 and slow > 0.0 if depth == 3 else fast <= 0.2 and slow >= 0.5


def _measured(data: xr.Dataset, kind: str, depth: int) -> str:
    median = _median_steps(data, kind, depth)
    deviations = data["deviation"].values
    steps = data["best_steps"].sel(kind=kind, depth=depth).values
    fast, reached = median <= _FEW_HUNDRED, np.isfinite(median)
    texts = [
        f"median of {steps.shape[1]} starts at most {_FEW_HUNDRED} steps at "
        f"{_range(deviations[fast], len(deviations))}"
    ]
    if reached.any():
        quickest = int(np.argmin(median))
        texts.append(f"fewest at {deviations[quickest]:.2g}: {spread(steps[quickest])}")
        texts.append(
            f"median converged within {data.attrs['largest_step']:,} steps at "
            f"{_range(deviations[reached], len(deviations))}, at most {median[reached].max():,.0f}"
            f" ({_slowest(steps[reached])})"
        )
    else:
        texts.append(f"none converged within {data.attrs['largest_step']:,} steps")
    return "; ".join(texts)


def _slowest(steps: FloatArray) -> str:
    """Say what single starts took, where steps are NaN if they did not converge."""
    missing = np.count_nonzero(np.isnan(steps))
    left = f", {missing} of {steps.size} not converged" if missing else ""
    return f"single starts at most {np.nanmax(steps):,.0f}{left}"


def _range(deviations: FloatArray, of: int) -> str:
    if not deviations.size:
        return f"none of {of} stds"
    # Not all that lie in between need be among them.
    ends = f"between {deviations.min():.2g} and {deviations.max():.2g}"
    return f"{deviations.size} of {of} stds {ends}"


def _figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, len(_KINDS))
    for panel, (kind, said) in zip(axes, _KINDS.items(), strict=True):
        title, _, entries = said.partition(": ")
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel(f"standard deviation of the {entries}")
        _draw(panel, data.sel(kind=kind))
    axes[0].set_ylabel("steps to a loss of 1e-5 at the best rate")
    axes[0].legend()
    return figure


def _draw(panel: "Axes", data: xr.Dataset) -> None:
    """Draw the median and every start; what did not converge lies above the largest step."""
    limit = float(data.attrs["largest_step"])
    deviations = data["deviation"].values
    for depth, color in zip(data["depth"].values.tolist(), COLORS, strict=False):
        steps = data["best_steps"].sel(depth=depth).fillna(2.0 * limit)
        panel.plot(deviations, steps.values, "o", color=color, alpha=0.35, markersize=3)
        median = steps.median("start").values
        panel.plot(deviations, median, "-", color=color, label=f"N = {depth}")
    panel.axhline(limit, color="0.6", linewidth=0.8, linestyle=":")
    panel.text(deviations[0], 2.4 * limit, "not converged", color="0.4", fontsize="small")
    panel.set(xscale="log", yscale="log", ylim=(1.0, 6.0 * limit))
