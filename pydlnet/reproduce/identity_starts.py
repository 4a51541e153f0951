"""The theorem needs a margin: identity layers never learn a negative eigenvalue.

Claim 5 of the paper, for an even number N of layers and exact arithmetic, in which the layers stay
equal. What rounding does to that depends on the target. With -l its negative eigenvalue and v the
eigenvector of it, u that of a positive eigenvalue s: once s is learnt, entries (u, v) of the first
layer and (v, u) of the last one, opposite in sign, multiply to something negative in (v, v) and
grow at the rate s^(1-2/N) (l - s). So N = 4 stays where it is if l is below all positive
eigenvalues, and rounding carries it away otherwise.

With two layers the difference of both along v itself grows as well, at the rate l. From equal
layers, however, the computed W_2 remains the transpose of W_1 bit for bit, so that W = W_1^T W_1
has no negative eigenvalue: it takes a difference of one rounding at the start.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import chain, theory
from .. import initialization as init
from .._validation import FloatArray
from ..ensembles import run_ensemble
from ..methods import GradientDescent
from ..recording import Record, log_spaced
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .labels import stacked, words
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["part"]

# Where the negative eigenvalue, in size, and the positive ones are drawn from.
_FAMILIES = {"below": ((0.3, 0.6), (0.8, 1.5)), "above": ((0.9, 1.4), (0.4, 0.7))}
_STARTS = ("identity", "off by one rounding")
_LINES = ("-", "--")
# By how much a loss has to be below the floor: rounding of the loss itself is far less.
_BELOW = 1e-9


@dataclass(frozen=True)
class _Grid:
    depths: tuple[int, ...]
    n_targets: int
    n_steps: int
    size: int = 4
    rate: float = 0.05


_DEFAULT, _FULL = _Grid((2, 4), 3, 100_000), _Grid((2, 4, 6), 6, 100_000)


def part(settings: Settings) -> Part:
    """Run identity layers towards symmetric targets with a negative eigenvalue."""
    return _part(_FULL if settings.full else _DEFAULT, settings)


def _part(grid: _Grid, settings: Settings) -> Part:
    families = []
    for number, family in enumerate(_FAMILIES):
        targets = [
            _target(family, grid.size, np.random.default_rng([settings.seed, 6, number, k]))
            for k in range(grid.n_targets)
        ]
        depths = []
        for depth in grid.depths:
            settings.say(f"identity starts: depth {depth}, {grid.n_targets} targets {family}")
            depths.append(_towards(targets, depth, grid, settings.threads))
        families.append(stacked(depths, "depth", grid.depths))
    data = stacked(families, "family", tuple(_FAMILIES))
    data["family"].attrs = words("size of the negative eigenvalue against the positive ones")
    data.attrs = {"learning_rate": grid.rate, "size": grid.size, "n_steps": grid.n_steps}
    used = f"random symmetric targets of size {grid.size} with one negative eigenvalue"
    return Part("identity_starts", data, _figure(data), tuple(_outcomes(data)), used)


def _target(family: str, size: int, rng: np.random.Generator) -> FloatArray:
    negative, positive = _FAMILIES[family]
    basis = init.orthogonal((size, size), rng=rng)[0]
    values = np.append(-rng.uniform(*negative), rng.uniform(*positive, size - 1))
    matrix: FloatArray = chain.product([values[:, None] * basis, np.ascontiguousarray(basis.T)])
    return 0.5 * (matrix + matrix.T)


def _nudged(layers: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the layers with one of the entries that are 1 a unit in the last place larger."""
    first = layers[0].copy()
    first[0, 0] = np.nextafter(1.0, 2.0)
    return [first, *layers[1:]]


def _towards(targets: list[FloatArray], depth: int, grid: _Grid, threads: int) -> xr.Dataset:
    """Run every target from both starts; return the losses beside the exact one and the floor."""
    failing = [theory.failure_without_margin(target, depth=depth) for target in targets]
    ensemble = unbroken(
        run_ensemble(
            [start.problem for start in failing] * 2,
            [start.weights for start in failing] + [_nudged(start.weights) for start in failing],
            GradientDescent(grid.rate),
            n_steps=grid.n_steps,
            record=Record(steps=log_spaced(200, until=grid.n_steps)),
            progress=False,
            threads=threads,
        )
    )
    steps = ensemble.data["step"].values
    losses = ensemble.data["loss"].values.reshape(2, len(targets), steps.size)
    floors = np.array([start.loss_floor for start in failing])
    below = losses < floors[:, None] * (1.0 - _BELOW)
    left = np.where(below.any(axis=-1), steps[below.argmax(axis=-1)].astype(np.float64), np.nan)
    exact = [_exact_loss(target, depth, grid.rate, steps) for target in targets]
    dims = ("begin", "target")
    return xr.Dataset(
        {
            "loss": ((*dims, "step"), losses, words("loss of the network")),
            "exact_loss": (("target", "step"), np.array(exact), words("loss in exact arithmetic")),
            "loss_floor": ("target", floors, words("half of the negative eigenvalue squared")),
            "left_at": (dims, left, words("first record with a loss below the floor")),
        },
        {"step": steps, "target": np.arange(len(targets)), "begin": list(_STARTS)},
    )


def _exact_loss(
    target: FloatArray, depth: int, rate: float, steps: NDArray[np.int64]
) -> FloatArray:
    gaps = theory.identity_descent(target, depth, rate, steps) - target
    loss: FloatArray = 0.5 * np.sum(gaps**2, axis=(1, 2))
    return loss


def _outcomes(data: xr.Dataset) -> Iterator[Outcome]:
    rate, n_steps = data.attrs["learning_rate"], data.attrs["n_steps"]
    for depth in data["depth"].values.tolist():
        for family in data["family"].values.tolist():
            chosen = data.sel(depth=depth, family=family)
            yield Outcome(
                f"Claim 5: N = {depth} identity layers, symmetric target whose negative eigenvalue "
                f"is {family} the positive ones in size, rate {rate:g}: runs above the floor of "
                f"the loss for {n_steps:,} steps",
                "all, in exact arithmetic",
                "; ".join(f"{begin}: {_stays(chosen.sel(begin=begin))}" for begin in _STARTS),
                # Nothing is promised where rounding grows exponentially.
                None if depth == 2 or family == "above" else _all_stay(chosen),
            )


def _all_stay(data: xr.Dataset) -> bool:
    return bool(np.isnan(data["left_at"].values).all())


def _stays(data: xr.Dataset) -> str:
    left = data["left_at"].values
    text = f"{int(np.isnan(left).sum())} of {left.size}"
    if np.isnan(left).all():
        return text
    return f"{text}, rounding leaves at step {spread(left[np.isfinite(left)])}"


def _figure(data: xr.Dataset) -> "Figure":
    depths = data["depth"].values.tolist()[:2]
    families = data["family"].values.tolist()
    figure, axes = panels(1, len(depths) * len(families), width=3.8)
    pairs = [(depth, family) for depth in depths for family in families]
    for panel, (depth, family) in zip(axes, pairs, strict=True):
        _draw(panel, data.sel(depth=depth, family=family))
        panel.set_title(rf"N = {depth}, $|\lambda_-|$ {family} the others", fontsize="medium")
    axes[0].set_ylabel("loss / floor")
    axes[0].legend(fontsize="small")
    return figure


def _draw(panel: "Axes", data: xr.Dataset) -> None:
    steps = data["step"].values
    colors = dict(zip(data["target"].values.tolist()[:3], COLORS, strict=False))
    for number, color in colors.items():
        chosen = data.sel(target=number)
        floor = float(chosen["loss_floor"])
        for begin, line in zip(_STARTS, _LINES, strict=True):
            loss = chosen["loss"].sel(begin=begin).values / floor
            panel.plot(steps, loss, line, color=color, label=None if number else begin)
    panel.axhline(1.0, color="0.4", linewidth=0.8, linestyle=":")
    panel.set(yscale="log", ylim=(1e-3, 1e2), xlabel="step")
    panel.set_xscale("symlog", linthresh=1, linscale=0.3)
    panel.set_xlim(left=0)
