"""How often random starts meet the conditions of the theorem, against what is proven.

A balanced start has the margin of Theorem 2 with a probability that the theorem bounds from below;
layers drawn one by one are delta-balanced with one that Claim 2 bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import initialization as init
from .. import metrics, theory
from .._validation import FloatArray
from ..problems import TargetMatrix
from .drawing import COLORS, panels
from .labels import words
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["part"]

_N_INPUTS = (20, 128)
# Theorem 2 has the scale ||Phi|| / (sqrt(a) d_0).
_A = (18.0, 30.0, 100.0, 1000.0, 10_000.0)
_SQUARE = (4, 4, 4, 4)
# Of the deltas, over s^2, s being the standard deviation of the layers' entries.
_DELTAS = tuple(np.geomspace(3.0, 300.0, 13).round(1).tolist())


@dataclass(frozen=True)
class _Grid:
    n_margins: int
    n_balances: int


_DEFAULT, _FULL = _Grid(20_000, 3_000), _Grid(200_000, 20_000)


def part(settings: Settings) -> Part:
    """Count starts that have the margin, and starts that are balanced."""
    return _part(_FULL if settings.full else _DEFAULT, settings)


def _part(grid: _Grid, settings: Settings) -> Part:
    settings.say(f"chances: {grid.n_margins} margins, {grid.n_balances} layer-wise starts")
    data = xr.merge([_margins(grid, settings.seed), _balances(grid, settings.seed)])
    data.attrs = {"widths_of_the_layer_wise_starts": _SQUARE}
    return Part("start_chances", data, _figure(data), tuple(_outcomes(data)), "targets of norm 1")


def _margins(grid: _Grid, seed: int) -> xr.Dataset:
    """Return how often ||W - Phi|| <= ||Phi|| - c, with the c and the bound of Theorem 2."""
    bound, share = np.empty((2, len(_N_INPUTS), len(_A)))
    for i, n_inputs in enumerate(_N_INPUTS):
        # Any direction will do: a rotation changes nothing in the law of the start.
        problem = TargetMatrix(np.eye(1, n_inputs))
        rng = np.random.default_rng([seed, 4, n_inputs])
        along = rng.standard_normal(grid.n_margins)
        across = rng.chisquare(n_inputs - 1, grid.n_margins)
        for j, a in enumerate(_A):
            scale = 1.0 / (np.sqrt(a) * n_inputs)
            found = theory.balanced_start_certificate((n_inputs, 1, 1), scale, problem)
            # 1 - ||W - Phi|| with W = scale (along, ...), free of cancellation.
            squares = scale * (2.0 * along - scale * (along * along + across))
            margins = squares / (1.0 + np.sqrt(1.0 - squares))
            bound[i, j] = found.probability
            share[i, j] = np.mean(margins >= found.deficiency_margin)
    dims = ("n_inputs", "a")
    return xr.Dataset(
        {
            "margin_probability": (dims, bound, words("bound of Theorem 2")),
            "margin_share": (dims, share, words("share of balanced starts with its margin")),
            "n_margins": ((), grid.n_margins, words("number of starts")),
        },
        {"n_inputs": list(_N_INPUTS), "a": ("a", list(_A), words("(||Phi|| / (s d_0))^2"))},
    )


def _balances(grid: _Grid, seed: int) -> xr.Dataset:
    """Return how often layers with entries of variance 1 are delta-balanced."""
    rng = np.random.default_rng([seed, 5])
    drawn = np.array(
        [
            metrics.balancedness(init.gaussian(_SQUARE, std=1.0, rng=rng))
            for _ in range(grid.n_balances)
        ]
    )
    bound = [theory.balanced_probability(_SQUARE, 1.0, delta) for delta in _DELTAS]
    share = [float(np.mean(drawn <= delta)) for delta in _DELTAS]
    return xr.Dataset(
        {
            "balance_probability": ("delta", bound, words("bound of Claim 2")),
            "balance_share": ("delta", share, words("share of delta-balanced starts")),
            "n_balances": ((), grid.n_balances, words("number of starts")),
        },
        {"delta": ("delta", list(_DELTAS), words("delta over s^2"))},
    )


def _outcomes(data: xr.Dataset) -> Iterator[Outcome]:
    for n_inputs in data["n_inputs"].values.tolist():
        chosen = data.sel(n_inputs=n_inputs)
        share, bound = chosen["margin_share"].values, chosen["margin_probability"].values
        yield Outcome(
            f"Balanced starts, one output, d_0 = {n_inputs}: share with the margin of Theorem 2",
            "at least " + _listed("a", data["a"].values, bound),
            _listed("a", data["a"].values, share) + f" (of {int(data['n_margins'])} starts)",
            _at_least(share, bound, int(data["n_margins"])),
        )
    share, bound = data["balance_share"].values, data["balance_probability"].values
    deltas, some = data["delta"].values, [5, 9, 12]
    yield Outcome(
        f"Layers of widths {_SQUARE} drawn one by one: share that is delta-balanced",
        "at least " + _listed("delta/s^2", deltas[some], bound[some]),
        _listed("delta/s^2", deltas[some], share[some]) + f" (of {int(data['n_balances'])} starts)",
        _at_least(share, bound, int(data["n_balances"])),
    )


def _listed(name: str, places: FloatArray, values: FloatArray) -> str:
    return ", ".join(
        f"{value:.3g} for {name} = {place:g}" for place, value in zip(places, values, strict=True)
    )


def _at_least(share: FloatArray, bound: FloatArray, count: int) -> bool:
    """Compare up to three standard errors, should a bound be sharp."""
    errors: NDArray[np.float64] = np.sqrt(share * (1.0 - share) / count)
    return bool((share + 3.0 * errors >= bound).all())


def _figure(data: xr.Dataset) -> "Figure":
    figure, (margins, balances) = panels(1, 2)
    for n_inputs, color in zip(data["n_inputs"].values.tolist(), COLORS, strict=False):
        chosen = data.sel(n_inputs=n_inputs)
        for name, style in (("margin_share", "o-"), ("margin_probability", "--")):
            what = "measured" if name == "margin_share" else "bound"
            label = f"$d_0$ = {n_inputs}, {what}"
            margins.plot(data["a"].values, chosen[name].values, style, color=color, label=label)
    margins.set(xscale="log", ylim=(0.0, 0.6), xlabel=r"$a = (\|\Phi\| / s d_0)^2$")
    margins.set(ylabel="share of balanced starts", title="with the margin of Theorem 2")
    for name, style in (("balance_share", "o-"), ("balance_probability", "--")):
        label = "measured" if name == "balance_share" else "bound of Claim 2"
        balances.plot(data["delta"].values, data[name].values, style, color=COLORS[0], label=label)
    balances.set(xscale="log", xlabel=r"$\delta / s^2$", ylabel="share of layer-wise starts")
    balances.set_title(r"$\delta$-balanced, widths " + str(_SQUARE))
    for panel in (margins, balances):
        panel.title.set_fontsize("medium")
        panel.legend(fontsize="small")
    return figure
