"""Depth and adaptive methods on the gas sensors' regression, each curve at its best rate.

Loss over the steps at depths 1, 2 and 3 for the mean of |residual|^p / p, p = 2 and 4, and at p = 4
beside AdaGrad, AdaDelta and Adam at depth 1 and Adam at depths 2 and 3.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..methods import AdaDelta, AdaGrad, Adam, Method
from .depth_gain import Size, Tuned, gain, tuned
from .drawing import COLORS, panels, spread
from .report import Outcome, Part, Settings, dimension
from .sensors import Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DEPTHS", "adaptive_part", "depth_part", "rates"]

DEPTHS = (1, 2, 3)
_POWERS = (2, 4)
_KINDS = ("layers 0.01", "balanced 0.01")
_LARGE = 10.0  # what may be called orders of magnitude
_OPEN = 1.5  # rates that differ by 2 leave a factor of 1.4 open: no smaller gain is one, nor a loss


def rates(settings: Settings) -> list[float]:
    """Return the grid, as fractions of the largest rate at depth 1."""
    per_octave, highest = (2, 4) if settings.full else (1, 3)
    exponents = np.arange(-2 * per_octave, highest * per_octave + 1) / per_octave
    fractions: list[float] = (0.75 * 2.0**exponents).tolist()
    return fractions


def depth_part(data: Measurements, settings: Settings, size: Size) -> Part:
    """Compare the depths on standardised features, for both losses and two kinds of start."""
    runs: dict[tuple[int, str, int], Tuned] = {}
    for power in _POWERS:
        problem = data.problem(power)
        settings.say(f"gas sensors: l_{power}, depths 1 to 3, {size.n_steps:,} steps")
        for kind in _KINDS:
            for depth in DEPTHS:
                runs[power, kind, depth] = tuned(
                    problem,
                    depth,
                    kind,
                    rates(settings),
                    settings,
                    size,
                )
    result = _depth_dataset(runs)
    rows = [
        _depth_outcome(result, power, kind, depth)
        for power in _POWERS[::-1]
        for kind in _KINDS
        for depth in DEPTHS[1:]
    ]
    return Part("gas_depth", result, _depth_figure(result), tuple(rows), data.used)


def _depth_dataset(runs: Mapping[tuple[int, str, int], Tuned]) -> xr.Dataset:
    dims = ("power", "start_kind", "depth")
    keys = list(itertools.product(_POWERS, _KINDS, DEPTHS))
    shape = (len(_POWERS), len(_KINDS), len(DEPTHS))
    coordinates = dict(zip(dims, map(list, (_POWERS, _KINDS, DEPTHS)), strict=True))
    curves = np.array([runs[key].best() for key in keys])
    gains = np.array(
        [gain(runs[power, kind, 1], runs[power, kind, depth]) for power, kind, depth in keys]
    )
    best = np.array([runs[key].best_rates() for key in keys])
    steps = next(iter(runs.values())).steps
    return xr.Dataset(
        {
            "loss": ((*dims, "start", "step"), curves.reshape(*shape, *curves.shape[1:])),
            "gain": ((*dims, "start"), gains.reshape(*shape, -1)),
            "best_rate": ((*dims, "start"), best.reshape(*shape, -1)),
        },
        {**coordinates, "step": steps, "start": np.arange(gains.shape[1])},
    ).pipe(_described)


def _described(data: xr.Dataset) -> xr.Dataset:
    names = {
        "loss": "lowest loss so far at any rate of the grid",
        "gain": "steps of depth 1 over steps of this depth, to a loss that both reach",
        "best_rate": "rate of the lowest last loss over the largest rate at depth 1",
    }
    for name, text in names.items():
        data[name].attrs = {"long_name": text, "units": "1", "reference": "arXiv:1802.06509"}
    data.attrs = {"features": "standardised", "hidden_width": 1, "method": "GradientDescent"}
    return data


def _depth_outcome(data: xr.Dataset, power: int, kind: str, depth: int) -> Outcome:
    values = data["gain"].sel(power=power, start_kind=kind, depth=depth).values
    typical = float(np.median(values))
    agrees: bool | None
    if power == 2:
        said, agrees = "no gain, depth slightly slower", typical <= _OPEN
    else:
        said, agrees = "faster, in its figures by orders of magnitude", _is_faster(typical)
    measured = f"{spread(values)} times{_remark(typical)}"
    if agrees and power != 2 and typical < _LARGE:
        measured += "; the direction agrees, not the size"
    claim = f"gas sensors, l_{power}, start {kind}: steps of depth 1 over depth {depth}"
    return Outcome(claim, said, measured, agrees)


def _is_faster(typical: float) -> bool | None:
    """Judge a gain; None if the grid of rates does not tell it from none."""
    return None if _is_open(typical) else typical > 1.0


def _remark(typical: float) -> str:
    return f"; the grid of rates leaves a factor of {_OPEN:g} open" if _is_open(typical) else ""


def _is_open(typical: float) -> bool:
    return 1.0 / _OPEN <= typical <= _OPEN


def _depth_figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(2, 2)
    cells = [(power, kind) for power in _POWERS for kind in _KINDS]
    for panel, (power, kind) in zip(axes, cells, strict=True):
        for depth, color in zip(DEPTHS, COLORS, strict=False):
            loss = data["loss"].sel(power=power, start_kind=kind, depth=depth)
            _draw(panel, loss, f"depth {depth}", color)
        panel.set_title(rf"$\ell_{power}$, start: {kind}", fontsize="medium")
        panel.legend()
    return figure


def _draw(panel: "Axes", loss: xr.DataArray, label: str, color: str, style: str = "-") -> None:
    """Draw a line for every start, thin but for the first."""
    for start in loss["start"].values:
        values, first = loss.sel(start=start).values, start == 0
        panel.plot(
            loss["step"].values,
            values,
            style,
            color=color,
            label=label if first else None,
            linewidth=1.6 if first else 0.6,
        )
    panel.set(xscale="log", yscale="log", xlabel="step", ylabel="loss at the best rate so far")
    panel.set_xlim(left=1)


def adaptive_part(data: Measurements, settings: Settings, size: Size) -> Part:
    """Compare depth with adaptive methods for l_4, and both together, from balanced starts."""
    problem = data.problem(4)
    methods: list[tuple[str, int, Method | None]] = [
        ("gradient descent", 1, None),
        ("gradient descent", 2, None),
        ("gradient descent", 3, None),
        ("AdaGrad", 1, AdaGrad(1.0)),
        ("AdaDelta", 1, AdaDelta(1.0)),
        ("Adam", 1, Adam(1.0)),
        ("Adam", 2, Adam(1.0)),
        ("Adam", 3, Adam(1.0)),
    ]
    per_decade = 4 if settings.full else 2
    exponents = np.arange(-3 * per_decade, per_decade + 1) / per_decade
    decades = (10.0**exponents).tolist()
    runs: dict[str, Tuned] = {}
    for name, depth, method in methods:
        settings.say(f"gas sensors: l_4, {name} at depth {depth}")
        grid = rates(settings) if method is None else decades
        runs[f"{name}, depth {depth}"] = tuned(
            problem,
            depth,
            "balanced 0.01",
            grid,
            settings,
            size,
            method=method,
        )
    curves = xr.concat([run.curve() for run in runs.values()], dimension("curve", list(runs)))
    result = xr.Dataset({"loss": curves})
    return Part(
        "gas_adaptive", result, _adaptive_figure(result), _adaptive_outcomes(runs), data.used
    )


def _adaptive_outcomes(runs: Mapping[str, Tuned]) -> tuple[Outcome, ...]:
    plain = "gradient descent, depth 1"
    pairs: list[tuple[str, str, str, Callable[[float], bool | None]]] = [
        (plain, "AdaGrad, depth 1", "essentially no speed-up", lambda typical: typical <= _OPEN),
        (plain, "AdaDelta, depth 1", "-", lambda _: None),
        ("AdaGrad, depth 1", "gradient descent, depth 2", "depth 2 faster", _is_faster),
        ("AdaDelta, depth 1", "gradient descent, depth 2", "depth 2 faster", _is_faster),
        ("Adam, depth 1", "Adam, depth 2", "depth helps Adam, too", _is_faster),
        ("Adam, depth 1", "Adam, depth 3", "depth helps Adam, too", _is_faster),
    ]
    outcomes = []
    for one, other, said, judge in pairs:
        values = gain(runs[one], runs[other])
        typical = float(np.median(values))
        claim = f"gas sensors, l_4: steps of {one} over {other}"
        measured = f"{spread(values)} times{_remark(typical)}"
        outcomes.append(Outcome(claim, said, measured, judge(typical)))
    return tuple(outcomes)


def _adaptive_figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, 2, width=5.5)
    names = data["curve"].values.tolist()
    for panel, pattern in zip(axes, ("gradient descent|AdaGrad|AdaDelta", "Adam,"), strict=True):
        wanted = [name for name in names if any(part in name for part in pattern.split("|"))]
        for name, color in zip(wanted, COLORS, strict=False):
            style = "--" if name.startswith("Ada") and "Adam" not in name else "-"
            _draw(panel, data["loss"].sel(curve=name), name, color, style)
        panel.set_title(r"$\ell_4$, each at its best rate", fontsize="medium")
        panel.legend()
    return figure
