"""Which setting decides whether depth accelerates on the gas sensors' regression.

The paper does not say everything its experiment depends on. Here preparation of the features, kind
of start, which measurements, horizon and grid of rates are varied, and the gain from depth is set
out for each. Horizon and grid need no runs of their own: less of the same runs is what they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .._validation import FloatArray
from .depth_gain import START_KINDS, Size, Tuned, gain, tuned
from .drawing import COLORS, panels
from .gas_depth import DEPTHS, rates
from .report import Outcome, Part, Settings
from .sensors import PREPARATIONS, Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["part"]

_SHORT = 10  # the shorter horizon is the horizon over this


@dataclass(frozen=True)
class _Case:
    power: int
    preparation: str
    start_kind: str
    samples: str = "all"

    def __str__(self) -> str:
        return f"{self.preparation}, {self.start_kind}, {self.samples} measurements"


def part(data: Measurements, settings: Settings, size: Size) -> Part:
    """Measure the gain of depths 2 and 3 in every setting."""
    cases = list(_cases())
    samples = {"all": data, "earlier half": data.half(False), "later half": data.half(True)}
    rows = []
    for case in cases:
        settings.say(f"gas sensors: l_{case.power}, {case}")
        problem = samples[case.samples].problem(case.power, case.preparation)
        runs = {
            depth: tuned(
                problem,
                depth,
                case.start_kind,
                rates(settings),
                settings,
                size,
            )
            for depth in DEPTHS
        }
        rows.append(_gains(runs, size.n_steps))
    result = _dataset(cases, np.array(rows), size.n_steps)
    return Part("gas_settings", result, _figure(result), tuple(_outcomes(result)), data.used)


def _cases() -> Iterator[_Case]:
    for power in (4, 2):
        for preparation in PREPARATIONS:
            for kind in START_KINDS:
                yield _Case(power, preparation, kind)
        for half in ("earlier half", "later half"):
            yield _Case(power, "standardised", "balanced 0.01", half)


def _gains(runs: dict[int, Tuned], n_steps: int) -> list[list[list[list[float]]]]:
    """Return gains over depth, horizon, grid and start."""
    return [
        [
            [
                gain(runs[1].until(horizon, every), runs[depth].until(horizon, every)).tolist()
                for every in (1, 2)
            ]
            for horizon in (n_steps, n_steps // _SHORT)
        ]
        for depth in DEPTHS[1:]
    ]


def _dataset(cases: list[_Case], gains: FloatArray, n_steps: int) -> xr.Dataset:
    dims = ("case", "depth", "horizon", "rate_grid", "start")
    columns = {
        name: ("case", [str(getattr(case, name)) for case in cases])
        for name in ("preparation", "start_kind", "samples")
    }
    return xr.Dataset(
        {
            "gain": (
                dims,
                gains,
                {
                    "long_name": "steps of depth 1 over steps of this depth, to a loss that both "
                    "reach",
                    "units": "1",
                    "reference": "arXiv:1802.06509",
                },
            ),
            **columns,
            "power": ("case", [case.power for case in cases]),
        },
        {
            "case": [f"l_{case.power}: {case}" for case in cases],
            "depth": list(DEPTHS[1:]),
            "horizon": [n_steps, n_steps // _SHORT],
            "rate_grid": ["whole", "every second rate"],
            "start": np.arange(gains.shape[-1]),
        },
    )


_VARIED = {
    "preparation": "preparation of the features",
    "start_kind": "start",
    "samples": "measurements",
    "horizon": "horizon",
    "rate_grid": "grid of rates",
}


def _outcomes(data: xr.Dataset) -> Iterator[Outcome]:
    """Say for each setting what gain its values give, the others at their reference."""
    for power in (4, 2):
        for depth in DEPTHS[1:]:
            gains = {name: _varied(data.sel(depth=depth), power, name) for name in _VARIED}
            yield _decisive(gains, power, depth)
            for name, values in gains.items():
                yield Outcome(
                    f"gas sensors, l_{power}: gain of depth {depth} by {_VARIED[name]}",
                    "-",
                    "; ".join(f"{value}: {_brief(gain)}" for value, gain in values.items()),
                    None,
                )


def _decisive(gains: dict[str, dict[str, FloatArray]], power: int, depth: int) -> Outcome:
    """Order the settings by how many times larger the gain is at their best than at their worst."""
    factors = {}
    for name, values in gains.items():
        medians = [float(np.median(gain)) for gain in values.values()]
        factors[name] = max(medians) / min(medians)
    order = sorted(factors, key=lambda name: -factors[name])
    return Outcome(
        f"gas sensors, l_{power}: which setting decides the gain of depth {depth}",
        "-",
        "; ".join(f"{_VARIED[name]} (by a factor of {factors[name]:.2g})" for name in order),
        None,
    )


def _brief(gain: FloatArray) -> str:
    return f"{np.median(gain):.2g} ({gain.min():.2g} to {gain.max():.2g})"


def _varied(data: xr.Dataset, power: int, varied: str) -> dict[str, FloatArray]:
    """Return the gains of all starts for every value of a setting."""
    reference: dict[str, str | int] = {
        "preparation": "standardised",
        "start_kind": "balanced 0.01",
        "samples": "all",
        "horizon": int(data["horizon"].max()),
        "rate_grid": "whole",
    }
    result = {}
    for choice in dict.fromkeys(data[varied].values.tolist()):
        wanted = {**reference, varied: choice}
        rows = data["power"] == power
        for name in ("preparation", "start_kind", "samples"):
            rows = rows & (data[name] == wanted[name])
        gains = data["gain"].sel(horizon=wanted["horizon"], rate_grid=wanted["rate_grid"])
        result[str(choice)] = gains.isel(case=rows.values).values.ravel()
    return result


def _figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, 2, width=6.0, height=4.6)
    for panel, power in zip(axes, (4, 2), strict=True):
        rows = data.isel(case=(data["power"] == power).values, rate_grid=0)
        _draw(panel, rows)
        panel.set_title(rf"$\ell_{power}$", fontsize="medium")
    return figure


def _draw(panel: "Axes", rows: xr.Dataset) -> None:
    places = np.arange(rows.sizes["case"])[::-1]
    for index, depth in enumerate(rows["depth"].values.tolist()):
        for horizon, marker in zip(rows["horizon"].values.tolist(), "os", strict=True):
            values = rows["gain"].sel(depth=depth, horizon=horizon)
            panel.plot(
                values.median("start").values,
                places + 0.15 * (1 - 2 * index),
                marker,
                color=COLORS[index + 1],
                fillstyle="full" if marker == "o" else "none",
                label=f"depth {depth}, {horizon:,} steps",
            )
    panel.axvline(1.0, color="0.6", linewidth=0.8)
    labels = [
        str(name).split(": ")[1].removesuffix(" measurements") for name in rows["case"].values
    ]
    panel.set_yticks(places, labels, fontsize="small")
    panel.set(xscale="log", xlabel="steps of depth 1 / steps of this depth")
    panel.legend(fontsize="small")
