"""The convergence theorem beside descent: its bounds at every record, and how far it is from sharp.

Starts are at a share of the largest distance that leaves a margin. Descent goes at the largest rate
that the theorem admits, whose constants are small, and then at practical rates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .. import initialization as init
from .. import theory
from ..methods import GradientDescent
from ..problems import TargetMatrix
from ..recording import Record, log_spaced
from ..simulate import run
from ..trajectory import Trajectory
from ..tuning import tune
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .labels import stacked, words
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["part"]

_CHECKS = ("loss", "contraction", "balance", "layer_norm", "end_to_end_norm",
           "smallest_singular_value")  # fmt: skip
_QUANTITIES = ("loss", "imbalance", "singular_values", "layer_singular_values")
_SPECTRUM = (1.0, 0.9, 0.8)
_ACCURACY = 1e-5
_PRACTICAL_STEPS = 10_000
_RATES = tuple(np.geomspace(1e-3, 3.0, 36).tolist())


@dataclass(frozen=True)
class _Grid:
    depths: tuple[int, ...]
    distances: tuple[float, ...]
    n_starts: int
    n_steps: int


_DEFAULT = _Grid((2, 3), (0.05, 0.25, 0.5), 3, 300_000)
_FULL = _Grid((2, 3, 4, 8), (0.05, 0.25, 0.5, 0.75), 3, 500_000)


def part(settings: Settings) -> Part:
    """Follow certified starts at the theorem's rate and check every bound at every record."""
    return _part(_FULL if settings.full else _DEFAULT, settings)


def _part(grid: _Grid, settings: Settings) -> Part:
    depths = []
    for depth in grid.depths:
        settings.say(
            f"guarantee: depth {depth}, {len(grid.distances) * grid.n_starts} certified starts, "
            f"{grid.n_steps:,} steps"
        )
        distances = [_at_distance(depth, share, grid, settings) for share in grid.distances]
        depths.append(stacked(distances, "distance", grid.distances))
    data = stacked(depths, "depth", grid.depths)
    data["distance"].attrs = words("||W - Phi|| over sigma_min(Phi) at step 0")
    data.attrs = {"target_singular_values": _SPECTRUM, "accuracy": _ACCURACY}
    used = f"the 3 x 3 target with the singular values {', '.join(map(str, _SPECTRUM))}"
    return Part("guarantee", data, _figure(data), tuple(_outcomes(data)), used)


def _at_distance(depth: int, share: float, grid: _Grid, settings: Settings) -> xr.Dataset:
    members = []
    for number in range(grid.n_starts):
        rng = np.random.default_rng([settings.seed, 3, depth, round(1000 * share), number])
        members.append(_follow(depth, share, rng, grid, settings))
    return stacked(members, "start", tuple(range(grid.n_starts)))


def _follow(
    depth: int, share: float, rng: np.random.Generator, grid: _Grid, settings: Settings
) -> xr.Dataset:
    """Run one certified start at the rate that the theorem admits and at practical ones."""
    problem, start = _problem_and_start(depth, share, rng)
    found = theory.certificate(start, problem)
    rate = found.learning_rate_allowed
    trajectory = unbroken(
        run(
            problem,
            start,
            GradientDescent(rate),
            n_steps=grid.n_steps,
            record=Record(_QUANTITIES, steps=log_spaced(60, until=grid.n_steps)),
            progress=False,
            threads=settings.threads,
        )
    )
    accuracy = _ACCURACY * found.excess_loss
    method = GradientDescent(rate)
    practical = tune(
        problem, start, method, _RATES, accuracy,
        n_steps=_PRACTICAL_STEPS, progress=False, threads=settings.threads,
    )  # fmt: skip
    reached = practical.data["learning_rate"].where(practical.data["status"] == "converged")
    scalars = {
        "rate": (rate, "largest rate that Theorem 1 admits"),
        "decay_bound": (found.contraction_rate, "decay that Theorem 1 promises"),
        "steps_bound": (
            float(found.steps(rate, accuracy)),
            "steps that Theorem 1 needs to shrink the loss by 1e-5",
        ),
        "best_steps": (practical.best_steps, "steps to the same loss at the best rate"),
        "largest_rate": (float(reached.max()), "largest rate of a grid that gets there"),
    }
    return _checked(trajectory).assign(_scalars(scalars))


def _problem_and_start(
    depth: int, share: float, rng: np.random.Generator
) -> tuple[TargetMatrix, list[NDArray[Any]]]:
    size = len(_SPECTRUM)
    # Diagonal, as any other target with this spectrum is a rotation of it.
    target = np.diag(_SPECTRUM)
    direction = rng.standard_normal((size, size))
    direction *= share * _SPECTRUM[-1] / float(np.sqrt(np.sum(direction * direction)))
    start = init.balanced_from(target + direction, (size,) * (depth + 1))
    return TargetMatrix(target), start


def _checked(trajectory: Trajectory) -> xr.Dataset:
    """Return the loss beside its bound, and how many bounds held."""
    found = theory.check(trajectory)
    held = [found[f"{name}_held"].values for name in _CHECKS]
    loss = trajectory.data["loss"]
    decay = float(np.log(loss[0] / loss[-1]) / loss["time"][-1])
    scalars = {
        "guaranteed": (found.attrs["guaranteed"] == "yes", "whether Theorem 1 applies"),
        "n_bounds": (sum(map(len, held)), "bounds checked, all records together"),
        "n_held": (sum(int(part.sum()) for part in held), "bounds that held"),
        "decay": (decay, "measured decay of the logarithm of the loss over time"),
    }
    bound = found["loss_bound"].assign_attrs(words("bound of the loss, Theorem 1"))
    curves = {"loss": loss.drop_vars("time"), "loss_bound": bound.drop_vars("time")}
    return xr.Dataset(_scalars(scalars)).assign(curves)


def _scalars(values: dict[str, tuple[Any, str]]) -> dict[str, tuple[Any, ...]]:
    return {name: ((), value, words(text)) for name, (value, text) in values.items()}


def _outcomes(data: xr.Dataset) -> Iterator[Outcome]:
    guaranteed = data["guaranteed"].values
    n_bounds, n_held = (int(data[name].sum()) for name in ("n_bounds", "n_held"))
    yield Outcome(
        "Theorem 1 at the largest rate it admits: contraction, balance, norms and smallest "
        "singular value at every record",
        "all bounds hold",
        f"{n_held} of {n_bounds} bounds held on {guaranteed.size} runs, of which "
        f"{int(guaranteed.sum())} are certified",
        n_held == n_bounds and bool(guaranteed.all()),
    )
    ratio = (data["decay"] / data["decay_bound"]).values
    yield Outcome(
        "Decay of the loss at that rate over the one that Theorem 1 promises",
        "at least 1",
        spread(ratio),
        bool((ratio >= 1.0).all()),
    )
    for depth in data["depth"].values.tolist():
        chosen = data.sel(depth=depth)
        rates = (chosen["largest_rate"] / chosen["rate"]).values
        steps = (chosen["steps_bound"] / chosen["best_steps"]).values
        yield Outcome(
            f"N = {depth}: the largest rate that gets there over the admitted one; steps of "
            "Theorem 1 to a loss 1e-5 times that of the start, over those at the best rate",
            "- (the constants of the proof are not meant to be sharp)",
            f"rates {spread(rates)}; steps {spread(steps)}",
            None,
        )


def _figure(data: xr.Dataset) -> "Figure":
    depths = data["depth"].values.tolist()[:2]
    figure, axes = panels(1, len(depths) + 1)
    for panel, depth in zip(axes, depths, strict=False):
        _draw_losses(panel, data.sel(depth=depth, start=0))
        panel.set_title(f"N = {depth}, at the rate of Theorem 1", fontsize="medium")
    axes[0].legend()
    _draw_rates(axes[-1], data)
    return figure


def _draw_losses(panel: "Axes", data: xr.Dataset) -> None:
    for distance, color in zip(data["distance"].values.tolist(), COLORS, strict=False):
        chosen = data.sel(distance=distance)
        steps = chosen["step"].values
        panel.plot(steps, chosen["loss"].values, color=color, label=f"distance {distance:g}")
        panel.plot(steps, chosen["loss_bound"].values, "--", color=color, linewidth=0.9)
    panel.set(xlabel="step", ylabel="loss (dashed: its bound)", yscale="log")
    panel.locator_params(axis="x", nbins=4)


def _draw_rates(panel: "Axes", data: xr.Dataset) -> None:
    for depth, color in zip(data["depth"].values.tolist(), COLORS, strict=False):
        chosen = data.sel(depth=depth)
        for name, marker in (("rate", "o-"), ("largest_rate", "s--")):
            median = chosen[name].median("start").values
            label = f"N = {depth}, {'Theorem 1' if name == 'rate' else 'in practice'}"
            panel.plot(data["distance"].values, median, marker, color=color, label=label)
    panel.set(
        yscale="log", xlabel=r"$\|W - \Phi\| \,/\, \sigma_{\min}(\Phi)$", ylabel="largest rate"
    )
    panel.set_title("rates that are admitted and that converge", fontsize="medium")
    panel.legend(fontsize="small")
