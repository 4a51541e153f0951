"""Networks beside the end-to-end rule: the loss of depth N is that of one matrix under the rule.

From the same product, balanced networks of hidden width 1 and 16 and the one matrix that moves by
`EndToEndDescent` take the same steps. What is left between them is of first order in the rate.
"""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .. import initialization as init
from .._validation import FloatArray, IndexArray
from ..ensembles import run_ensemble
from ..methods import EndToEndDescent, GradientDescent, Method
from ..problems import Regression
from ..recording import Record
from .depth_gain import Size, largest_rate
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .report import Outcome, Part, Settings
from .sensors import Measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["part"]

_POWERS, _DEPTHS, _WIDTHS, _FRACTIONS = (2, 4), (2, 3), (1, 16), (0.5, 0.25)
_DIMS = ("power", "depth", "fraction")
_COINCIDE = 0.02  # of the loss: less than the width of a line in the paper's figure


def part(data: Measurements, settings: Settings, size: Size) -> Part:
    """Run networks and rule side by side on standardised features, for both losses."""
    settings.say("gas sensors: networks beside the end-to-end rule")
    cells = []
    for power, depth in itertools.product(_POWERS, _DEPTHS):
        problem = data.problem(power)
        products = [
            init.balanced((problem.shape[1], 1), 0.01, np.random.default_rng([settings.seed, k]))[0]
            for k in range(size.n_starts)
        ]
        cells += [
            _losses(problem, products, depth, fraction, size.n_steps, settings)
            for fraction in _FRACTIONS
        ]
    curves = np.array(cells).reshape(
        len(_POWERS), len(_DEPTHS), len(_FRACTIONS), *np.shape(cells)[1:]
    )
    result = _dataset(curves, size.n_steps)
    return Part("end_to_end_rule", result, _figure(result), _outcomes(result), data.used)


def _losses(
    problem: Regression,
    products: list[FloatArray],
    depth: int,
    fraction: float,
    n_steps: int,
    settings: Settings,
) -> FloatArray:
    """Return the losses of rule and networks, each of many steps at few, shape (3, start, time)."""
    rate = fraction * largest_rate(problem)
    steps = _steps(n_steps, fraction)

    def run(starts: list[list[FloatArray]], method: Method) -> FloatArray:
        ensemble = unbroken(
            run_ensemble(
                problem,
                starts,
                method,
                n_steps=int(steps[-1]),
                record=Record(steps=steps),
                progress=False,
                threads=settings.threads,
            )
        )
        losses: FloatArray = ensemble.data["loss"].sel(step=steps).values
        return losses

    rows = [run([[product] for product in products], EndToEndDescent(rate, depth))]
    for width in _WIDTHS:
        widths = (problem.shape[1], *[width] * (depth - 1), 1)
        starts = [init.balanced_from(product, widths) for product in products]
        rows.append(run(starts, GradientDescent(rate)))
    return np.array(rows)


def _steps(n_steps: int, fraction: float) -> IndexArray:
    """Return steps at the same times for every fraction."""
    at_first = np.union1d(0, np.rint(np.geomspace(1, n_steps, 120))).astype(np.int64)
    steps: IndexArray = at_first * round(_FRACTIONS[0] / fraction)
    return steps


def _dataset(curves: FloatArray, n_steps: int) -> xr.Dataset:
    names = {
        "loss_rule": "loss of one matrix under the end-to-end rule",
        "loss_width_1": "loss of the network of hidden width 1",
        "loss_width_16": "loss of the network of hidden width 16",
    }
    variables = {
        name: (
            (*_DIMS, "start", "step"),
            curves[:, :, :, k],
            {"long_name": text, "units": "1", "reference": "arXiv:1802.06509, Theorem 1"},
        )
        for k, (name, text) in enumerate(names.items())
    }
    coordinates = {
        "power": list(_POWERS),
        "depth": list(_DEPTHS),
        "fraction": list(_FRACTIONS),
        "start": np.arange(curves.shape[4]),
        "step": _steps(n_steps, _FRACTIONS[0]),
    }
    attributes = {
        "step_of": f"the rate of {_FRACTIONS[0]} of the largest at depth 1; at others at equal time"
    }
    return xr.Dataset(variables, coordinates, attributes)


def _gaps(data: xr.Dataset, one: str, other: str) -> xr.DataArray:
    """Return the largest relative difference of two losses over the steps."""
    return (abs(data[one] - data[other]) / data[other]).max("step")


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    rows = []
    for power, depth in itertools.product(_POWERS, _DEPTHS):
        cell = data.sel(power=power, depth=depth)
        gaps = _gaps(cell, "loss_width_1", "loss_rule")
        at_half = gaps.isel(fraction=1).values
        gaps = gaps.isel(fraction=0)
        rows.append(
            Outcome(
                f"gas sensors, l_{power}, depth {depth}: largest relative difference of the loss "
                "between network (width 1) and end-to-end rule, at half of the largest rate",
                "the curves coincide; they differ by the first order of the rate",
                f"{spread(gaps)}; at half of that rate {spread(at_half)}",
                bool((gaps < _COINCIDE).all()),
            )
        )
    wide = _gaps(data, "loss_width_16", "loss_width_1").values
    rows.append(
        Outcome(
            "gas sensors, l_2 and l_4, depths 2 and 3: the same between hidden widths 16 and 1",
            "width has negligible effect",
            f"{spread(wide)}",
            bool((wide < _COINCIDE).all()),
        )
    )
    return tuple(rows)


def _figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, len(_POWERS))
    for panel, power in zip(axes, _POWERS, strict=True):
        cell = data.sel(power=power, fraction=_FRACTIONS[0], start=0)
        for depth, color in zip(_DEPTHS, COLORS[1:], strict=False):
            lines = cell.sel(depth=depth)
            steps = lines["step"].values
            panel.plot(steps, lines["loss_rule"].values, color=color, label=f"rule, N = {depth}")
            for width, marker in zip(_WIDTHS, "ox", strict=True):
                panel.plot(
                    steps[::6],
                    lines[f"loss_width_{width}"].values[::6],
                    marker,
                    color=color,
                    fillstyle="none",
                    label=f"depth {depth}, hidden width {width}",
                )
        panel.set(xscale="log", yscale="log", xlabel="step", ylabel="loss")
        panel.set_xlim(left=1)
        panel.set_title(rf"$\ell_{power}$, standardised features", fontsize="medium")
    axes[0].legend(fontsize="small")
    return figure
