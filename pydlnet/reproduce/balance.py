"""Small layers stay nearly balanced while they grow: imbalance beside the size of the weights.

The theorem's condition, delta-balance, is kept by descent up to a part of second order in the rate;
what the start has of it stays while the layers grow away from it.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .. import initialization as init
from ..ensembles import run_ensemble
from ..methods import GradientDescent
from ..recording import Record, Stop
from .drawing import COLORS, panels, spread
from .experiment import unbroken
from .labels import words
from .report import Outcome, Part, Settings
from .start_scales import HIDDEN, N_INPUTS, target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["part"]

_DEPTH, _STD, _RATE, _LOSS, _N_STEPS = 3, 1e-3, 0.1, 1e-5, 20_000


def part(settings: Settings) -> Part:
    """Follow layer-wise starts of standard deviation 1e-3 at depth 3."""
    n_starts = 10 if settings.full else 3
    settings.say(f"balance: {n_starts} layer-wise starts at depth {_DEPTH}")
    problem, used = target(settings)
    widths = (N_INPUTS, *[HIDDEN] * (_DEPTH - 1), 1)
    ensemble = unbroken(
        run_ensemble(
            problem,
            [
                init.gaussian(widths, std=_STD, rng=np.random.default_rng([settings.seed, 7, k]))
                for k in range(n_starts)
            ],
            GradientDescent(_RATE),
            n_steps=_N_STEPS,
            record=Record(["loss", "imbalance", "layer_singular_values"], every=20),
            stop=Stop(loss=_LOSS),
            progress=False,
            threads=settings.threads,
        )
    )
    data = _measured(ensemble.data.rename(run="start"))
    return Part("balance", data, _figure(data), (_outcome(data),), used)


def _measured(data: xr.Dataset) -> xr.Dataset:
    """Return the smallest delta beside the smallest ||W_j W_j^T||_F at every record."""
    # sqrt(sum of sigma^4); layers narrower than others have NaN where they have no value.
    squares = (data["layer_singular_value"] ** 4).sum("layer_mode").min(dim="layer")
    sizes = (squares**0.5).where(data["loss"].notnull())  # a sum over nothing but NaN is 0
    imbalance = data["imbalance"].max("pair")
    last = data["last_step"].values
    ends = [float(imbalance.sel(start=k, step=step) / sizes.sel(start=k, step=step))
            for k, step in enumerate(last)]  # fmt: skip
    return xr.Dataset(
        {
            "loss": data["loss"].drop_vars("time", errors="ignore"),
            "imbalance": imbalance.assign_attrs(words("smallest delta: the largest imbalance")),
            "weights": sizes.assign_attrs(words("smallest ||W_j W_j^T||_F of the layers")),
            "last_step": data["last_step"],
            "final_ratio": ("start", ends, words("imbalance over weights at the last step")),
        },
        attrs={"std": _STD, "learning_rate": _RATE, "depth": _DEPTH, "target_loss": _LOSS},
    ).drop_vars("time", errors="ignore")


def _outcome(data: xr.Dataset) -> Outcome:
    ratio = (data["imbalance"] / data["weights"]).values
    final = data["final_ratio"].values
    # The record after the last one at which a start is not yet below 1.
    places = ratio.shape[1] - np.argmax((ratio >= 1.0)[:, ::-1], axis=1)
    below = data["step"].values[np.minimum(places, ratio.shape[1] - 1)].astype(np.float64)
    always = bool((ratio[~np.isnan(ratio)] < 1.0).all())
    return Outcome(
        f"N = {_DEPTH}, entries of every layer of std {_STD:g}, rate {_RATE:g}, to a loss of "
        f"{_LOSS:g}: largest imbalance over the smallest ||W_j W_j^T||_F",
        "stays far below 1",
        f"at step 0 {spread(ratio[:, 0])}"
        + ("" if always else f", below 1 from step {spread(below)} on")
        + f", at the end {spread(final)} after {spread(data['last_step'].values)} steps",
        # True at the end only: the imbalance does not grow, the layers do.
        (True if always else None) if (final < 0.1).all() else False,
    )


def _figure(data: xr.Dataset) -> "Figure":
    figure, axes = panels(1, 1, width=6.0)
    panel = axes[0]
    names = {
        "weights": r"$\min_j \|W_j W_j^T\|_F$",
        "imbalance": r"smallest $\delta$",
        "loss": "loss",
    }
    for (name, label), color in zip(names.items(), COLORS, strict=False):
        for start in range(data.sizes["start"]):
            line = data[name].isel(start=start).dropna("step")
            text = label if start == 0 else None
            panel.plot(line["step"].values, line.values, color=color, alpha=0.7, label=text)
    panel.set(yscale="log", xlabel="step", ylabel="value")
    panel.margins(x=0)
    panel.set_title(f"N = {_DEPTH}, layer-wise starts of std {_STD:g}", fontsize="medium")
    panel.legend(loc="center left")
    return figure
