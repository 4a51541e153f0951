"""The theorem needs balance: layers of very unequal size diverge, whatever their product.

Claim 4 of the paper, and the same end-to-end matrices factored into balanced layers beside it.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .. import chain, theory
from .. import initialization as init
from ..ensembles import run_ensemble
from ..methods import GradientDescent
from ..recording import Record, log_spaced
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .labels import stacked, words
from .report import Outcome, Part, Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["part"]

_MARGINS = (0.3, 0.6, 0.9)
_RATES = (1e-3, 1e-2, 1e-1)
_STEPS_TO_DIVERGE = 200
_STEPS_TO_CONVERGE = 30_000
_SIZE = 3
# Loss under which the balanced twin counts as converged.
_CONVERGED = 1e-6


def part(settings: Settings) -> Part:
    """Run starts that have a margin and no balance, and the same products balanced."""
    depths = (2, 4, 6) if settings.full else (2, 4)
    rows = []
    for depth in depths:
        settings.say(f"unbalanced starts: depth {depth}")
        margins = [
            stacked([_twins(margin, rate, depth, settings) for rate in _RATES], "rate", _RATES)
            for margin in _MARGINS
        ]
        rows.append(stacked(margins, "margin", _MARGINS))
    data = stacked(rows, "depth", depths)
    used = f"the identity of size {_SIZE} as target"
    return Part("unbalanced", data, _figure(data), _outcomes(data), used)


def _twins(margin: float, rate: float, depth: int, settings: Settings) -> xr.Dataset:
    """Run a failing start, and its product balanced."""
    failing = theory.failure_without_balance(margin, rate, depth=depth, size=_SIZE)
    balanced = init.balanced_from(chain.product(failing.weights), (_SIZE,) * (depth + 1))
    method = GradientDescent(rate)
    fails, converges = (
        unbroken(
            run_ensemble(
                failing.problem, [start], method, n_steps=n_steps, record=record,
                progress=False, threads=settings.threads,
            )
        )
        for start, n_steps, record in (
            (failing.weights, _STEPS_TO_DIVERGE, Record(every=1)),
            (balanced, _STEPS_TO_CONVERGE, Record(steps=log_spaced(60, until=_STEPS_TO_CONVERGE))),
        )
    )  # fmt: skip
    loss, twin = (run.data["loss"].isel(run=0, drop=True) for run in (fails, converges))
    finite = loss.values[np.isfinite(loss.values)]
    certificate = theory.certificate(failing.weights, failing.problem)
    scalars = {
        "deficiency_margin": (certificate.deficiency_margin, "deficiency margin of the start"),
        "balancedness": (certificate.balancedness, "largest imbalance of the start"),
        "loss_floor": (failing.loss_floor, "what the loss never falls below"),
        "diverged": (fails.status[0] == "diverged", "whether the unbalanced start diverges"),
        "diverged_at": (
            float(fails.data["last_step"].values[0]),
            "step at which the loss of the unbalanced start is not finite any more",
        ),
        "rises": (
            bool((np.diff(finite) > 0.0).all() and finite.min() >= failing.loss_floor),
            "whether its loss rises in every step",
        ),
        "balanced_final_loss": (float(twin.values[-1]), "last loss of the balanced start"),
    }
    variables = {name: ((), value, words(text)) for name, (value, text) in scalars.items()}
    padded = np.full(_STEPS_TO_DIVERGE + 1, np.nan)
    padded[: loss.size] = np.where(np.isfinite(loss.values), loss.values, np.nan)
    return xr.Dataset(variables).assign(
        loss=("step", padded, words("loss of the unbalanced start")),
        balanced_loss=("balanced_step", twin.values, words("loss of its product, balanced")),
        step=np.arange(_STEPS_TO_DIVERGE + 1),
        balanced_step=twin["step"].values,
    )


def _outcomes(data: xr.Dataset) -> tuple[Outcome, ...]:
    diverged, rises = data["diverged"].values, data["rises"].values
    converged = data["balanced_final_loss"].values <= _CONVERGED
    n = diverged.size
    return (
        Outcome(
            f"Claim 4: unbalanced starts with margins of at least {_MARGINS[0]:g} to "
            f"{_MARGINS[-1]:g}, rates {_RATES[0]:g} to {_RATES[-1]:g}, N = "
            f"{', '.join(map(str, data['depth'].values))}",
            "the loss never falls below that of the start",
            f"{int((diverged & rises).sum())} of {n} rise in every step and diverge, after "
            f"{spread(data['diverged_at'].values)} steps",
            bool((diverged & rises).all()),
        ),
        Outcome(
            "The same end-to-end matrices and rates, layers balanced",
            "converge (Theorem 1 for smaller rates)",
            f"{int(converged.sum())} of {n} at a loss of {_CONVERGED:g} or less after "
            f"{_STEPS_TO_CONVERGE:,} steps",
            bool(converged.all()),
        ),
    )


def _figure(data: xr.Dataset) -> "Figure":
    depths = data["depth"].values.tolist()
    figure, axes = panels(1, len(depths))
    for panel, depth in zip(axes, depths, strict=True):
        for rate, color in zip(data["rate"].values.tolist(), COLORS, strict=False):
            chosen = data.sel(depth=depth, rate=rate, margin=_MARGINS[1])
            panel.plot(chosen["step"].values, chosen["loss"].values, ".-", color=color,
                       label=f"rate {rate:g}, unbalanced")  # fmt: skip
            panel.plot(chosen["balanced_step"].values, chosen["balanced_loss"].values, "--",
                       color=color, label=f"rate {rate:g}, balanced")  # fmt: skip
        panel.set(yscale="log", ylim=(1e-12, 1e60), xlabel="step", ylabel="loss")
        panel.set_xscale("symlog", linthresh=1, linscale=0.3)
        panel.set_xlim(left=0)
        panel.set_title(f"N = {depth}, same product, margin {_MARGINS[1]:g}", fontsize="medium")
    axes[0].legend(fontsize="small")
    return figure
