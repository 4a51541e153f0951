"""Up to eight layers for l_4: near-zero starts stall, near-identity starts do not.

A product of N layers of size 0.01 is of size 0.01^N, and so are the first steps of most layers.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .depth_gain import Size, Tuned, tuned
from .drawing import COLORS, panels, spread
from .gas_depth import rates
from .report import Outcome, Part, Settings, dimension
from .sensors import Measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["part"]

_KINDS = {"layers 0.01": "near zero", "identity 0.01": "near the identity"}
_STALLED, _REPAIRED = 0.9, 0.5  # last loss over first


def part(data: Measurements, settings: Settings, size: Size) -> Part:
    """Train networks of several depths from both kinds of start, each at its best rate."""
    depths = tuple(range(1, 9)) if settings.full else (2, 4, 8)
    problem = data.problem(4)
    curves = []
    for kind, words in _KINDS.items():
        settings.say(f"gas sensors: l_4, depths up to {depths[-1]}, starts {words}")
        runs: list[Tuned] = [
            tuned(problem, depth, kind, rates(settings), settings, size) for depth in depths
        ]
        curves.append(xr.concat([run.curve() for run in runs], dimension("depth", depths)))
    loss = xr.concat(curves, dimension("start_kind", list(_KINDS.values())))
    result = xr.Dataset({"loss": loss})
    return Part("deep_starts", result, _figure(result), _outcomes(result), data.used)


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    deepest = int(data["depth"].max())
    shares = data["loss"].isel(step=-1) / data["loss"].isel(step=0)
    texts = {"near zero": "stalls (vanishing gradient)", "near the identity": "repairs it"}
    rows = []
    for kind, said in texts.items():
        values = shares.sel(start_kind=kind, depth=deepest).values
        agrees = values > _STALLED if kind == "near zero" else values < _REPAIRED
        rows.append(
            Outcome(
                f"gas sensors, l_4, depth {deepest}, start {kind}: loss after "
                f"{int(data['step'][-1]):,} steps over loss at the start",
                said,
                spread(values),
                bool(np.all(agrees)),
            )
        )
    return tuple(rows)


def _figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, 2)
    for panel, kind in zip(axes, data["start_kind"].values.tolist(), strict=True):
        for index, depth in enumerate(data["depth"].values.tolist()):
            loss = data["loss"].sel(start_kind=kind, depth=depth, start=0)
            style = "-" if index < len(COLORS) else "--"
            color = COLORS[index % len(COLORS)]
            panel.plot(loss["step"].values, loss.values, style, color=color, label=f"depth {depth}")
        panel.set(xscale="log", yscale="log", xlabel="step", ylabel="loss at the best rate so far")
        panel.set_xlim(left=1)
        panel.set_title(rf"$\ell_4$, start {kind}", fontsize="medium")
        panel.legend(fontsize="small")
    low, high = zip(*(panel.get_ylim() for panel in axes), strict=True)
    for panel in axes:
        panel.set_ylim(min(low), max(high))
    return figure
