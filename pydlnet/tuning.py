"""The best over a grid: how many steps to a loss, for each of several learning rates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ._display import as_status, as_table, sparkline
from ._validation import FloatArray, as_array, as_count, as_real, widths_of
from .ensemble_arguments import Layers, Single, as_starts
from .ensembles import EnsembleTrajectory, run_ensemble
from .interruption import noticing_interruption
from .methods import Method
from .problems import Problem
from .recording import Record, Stop
from .simulate import LARGEST_STEP, _wrong_type
from .summaries import count

__all__ = ["Tuning", "tune"]

PAPER = "Arora, Cohen & Hazan 2018, arXiv:1802.06509"

# Of the variables, and whether a paper or their definition says what they are.
LONG_NAMES = {
    "steps_to_target": ("first step at which the loss is at most target_loss", PAPER),
    "status": ("why the run ended", "definition"),
    "last_step": ("the step at which the run ended", "definition"),
    "final_loss": ("loss at the last step", "definition"),
}


@dataclass(frozen=True, eq=False)
class Tuning:
    """What came of a search for the best learning rate.

    Attributes
    ----------
    data : xarray.Dataset
        Over the dimension `learning_rate`, in the order given, and before it `start` if there were
        several: `steps_to_target` (NaN where the target was not reached), `status`, `last_step`
        and `final_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> method, rates = dln.GradientDescent(0.1), [0.01, 0.1, 1.0]
    >>> tuning = dln.tune(problem, start, method, rates, 1e-6, n_steps=1000)
    >>> tuning.best_learning_rate, bool(tuning.data.steps_to_target.min() == tuning.best_steps)
    (0.1, True)
    """

    data: xr.Dataset

    @property
    def best_learning_rate(self) -> float:
        """Rate of the fewest steps, the smallest one of several; NaN if none reaches the target.

        Of several starts the median counts, a run that does not reach the target being infinitely
        long.
        """
        best = self._best()
        return float(self.data["learning_rate"].values[best]) if self._reaches(best) else np.nan

    @property
    def best_steps(self) -> float:
        """Steps, or their median over the starts, at the best rate; NaN if there is none."""
        best = self._best()
        return float(self._typical_steps()[best]) if self._reaches(best) else np.nan

    def _best(self) -> int:
        return int(np.lexsort((self.data["learning_rate"].values, self._typical_steps()))[0])

    def _reaches(self, place: int) -> bool:
        return bool(np.isfinite(self._typical_steps()[place]))

    def _typical_steps(self) -> FloatArray:
        """Return the median of each rate over the starts."""
        steps = self.data["steps_to_target"].values
        steps = np.where(np.isnan(steps), np.inf, steps)
        median: FloatArray = np.median(steps.reshape(-1, steps.shape[-1]), axis=0)
        return median

    def __repr__(self) -> str:
        """Show how the runs ended and which rate was best."""
        counts = ", ".join(f"{n} {end}" for end, n in self._ends().items())
        best = f"{self.best_steps:g} steps at learning rate {self.best_learning_rate:g}"
        found = best if np.isfinite(self.best_steps) else "no rate reaches the target"
        return f"<Tuning: {self.data.sizes['learning_rate']} learning rates ({counts}), {found}>"

    def _ends(self) -> dict[str, int]:
        return count(self.data["status"].values.ravel().tolist())

    def _repr_html_(self) -> str:
        """Show the same as a table, with a curve of the steps over the rates."""
        rates = self.data["learning_rate"].values
        reached = bool(np.isfinite(self.best_steps))
        best = f"{self.best_learning_rate:g}" if reached else "none reaches the target"
        facts = {
            "learning rates": f"{rates.size}, from {rates.min():g} to {rates.max():g}",
            "starts": self.data.sizes.get("start"),
            "runs": as_status(self._ends()),
            "best learning rate": best,
            "steps there": self.best_steps if reached else None,
        }
        steps = self._typical_steps()[np.argsort(rates)].tolist()
        return as_table("Tuning", facts.items(), sparkline(steps, "steps over learning rates"))


def tune(
    problem: Problem,
    start: Layers | Sequence[Layers],
    method: Method,
    learning_rates: ArrayLike,
    target_loss: float,
    *,
    n_steps: int,
    progress: bool | None = None,
    threads: int = 1,
) -> Tuning:
    """Run a method at each of several learning rates, and count the steps to a loss.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    start : sequence of array_like, shape (d_j, d_{j-1}), or sequence of these
        The layers; or several starts of the same widths and dtype, each run at every rate. Not
        modified.
    method : Method
        How to step, on the full data. Its learning rate, a number, is replaced by each of those
        that follow.
    learning_rates : array_like, shape (n_rates,)
        Finite, above 0 and different, in any order.
    target_loss : float
        What the loss has to come down to, at least 0.
    n_steps : int
        Steps after which a run that has not reached the target ends, at least 1.
    progress : bool, optional
        Whether to show a progress bar; by default in terminals and notebooks only.
    threads : int, default 1
        How many threads share the work, at least 1. No number depends on it.

    Returns
    -------
    Tuning
        The steps at every rate, runs that diverged or did not reach the target included, and the
        best rate.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the first step.
    KeyboardInterrupt
        On Ctrl-C: the best of a part of the runs would be no answer.

    Notes
    -----
    The protocol of the experiments of [1]_: every curve is the best over a grid of rates. The loss
    is looked at after every step, so the count is exact. The runs are one ensemble: a run that
    reaches the target or diverges ends there, and none depends on the others.

    Near the largest stable rate the count can change erratically from one rate to the next, and
    with the start: give several starts, and look at the whole curve before comparing bests.

    References
    ----------
    .. [1] S. Arora, N. Cohen and E. Hazan, ICML 2018. arXiv:1802.06509

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
    >>> method = dln.GradientDescent(0.1)
    >>> tuning = dln.tune(problem, start, method, [0.01, 0.1, 1.0], 1e-6, n_steps=1000)
    >>> tuning.best_learning_rate
    0.1
    >>> tuning.data["status"].values.tolist()
    ['converged', 'converged', 'diverged']
    """
    starts = as_starts(start, "start")
    _check_problem(problem, starts)
    rates = _as_rates(learning_rates)
    methods = _methods(method, rates)
    stop = Stop(loss=as_real(target_loss, "target_loss", minimum=0.0))
    limit = as_count(n_steps, "n_steps", 1, LARGEST_STEP)
    several = [starts.value] if isinstance(starts, Single) else starts
    with noticing_interruption() as interruption:
        ensemble = run_ensemble(
            problem,
            [layers for layers in several for _ in methods],
            methods * len(several),
            n_steps=limit,
            record=Record(every=limit),  # step 0 and the last one
            stop=stop,
            progress=progress,
            threads=threads,
        )
        if interruption:
            raise KeyboardInterrupt
    data = _dataset(ensemble, rates, len(several))
    data.attrs = _attributes(ensemble, method, stop.loss, limit)
    return Tuning(data.isel(start=0, drop=True) if isinstance(starts, Single) else data)


def _check_problem(problem: Problem, starts: list[list[NDArray[Any]]] | Single) -> None:
    if not isinstance(problem, Problem):
        raise _wrong_type(problem, Problem, "problem")
    if isinstance(starts, Single):
        problem.check_shape(widths_of(starts.value), "start")
    else:  # all of the same widths
        problem.check_shape(widths_of(starts[0]), "start[0]")


def _as_rates(learning_rates: ArrayLike) -> FloatArray:
    rates = as_array(learning_rates, "learning_rates", 1)
    if (rates <= 0.0).any():
        place = int(np.argmax(rates <= 0.0))
        raise ValueError(f"learning_rates[{place}]: expected a number > 0, got {rates[place]}")
    values, counts = np.unique(rates, return_counts=True)
    if values.size < rates.size:
        raise ValueError(
            f"learning_rates: expected different numbers, got {values[counts > 1][0]} "
            f"{counts[counts > 1][0]} times"
        )
    return rates


def _methods(method: Method, rates: FloatArray) -> list[Method]:
    """Return the method at each rate."""
    if not isinstance(method, Method):
        raise _wrong_type(method, Method, "method")
    if not isinstance(method.learning_rate, float):
        raise TypeError(
            "method: expected one whose learning_rate is a number, as learning_rates replace it, "
            f"got {type(method.learning_rate).__name__}"
        )
    if method.batch_size is not None:
        raise ValueError(
            "method: expected steps on the full data, whose loss is then known at every step, got "
            f"batch_size={method.batch_size}"
        )
    return [replace(method, learning_rate=rate) for rate in rates.tolist()]  # type: ignore[type-var]


def _dataset(ensemble: EnsembleTrajectory, rates: FloatArray, n_starts: int) -> xr.Dataset:
    status = np.array(ensemble.status, dtype=object)
    last_steps = ensemble.data["last_step"].values
    places = np.searchsorted(ensemble.data["step"].values, last_steps)
    arrays = {
        "steps_to_target": np.where(status == "converged", last_steps, np.nan),
        "status": status,
        "last_step": last_steps,
        "final_loss": ensemble.data["loss"].values[np.arange(len(places)), places],
    }
    dims, shape = ("start", "learning_rate"), (n_starts, rates.size)
    variables = {
        name: (dims, array.reshape(shape), _described(*LONG_NAMES[name]))
        for name, array in arrays.items()
    }
    coordinates = {
        "start": ("start", np.arange(n_starts), _described("number of the start", "definition")),
        "learning_rate": ("learning_rate", rates, _described("learning rate", PAPER)),
    }
    return xr.Dataset(variables, coordinates)


def _described(long_name: str, reference: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": reference}


def _attributes(
    ensemble: EnsembleTrajectory, method: Method, target_loss: float | None, n_steps: int
) -> dict[str, Any]:
    description = {k: v for k, v in method.to_dict().items() if k != "learning_rate"}
    return {
        **ensemble.data.attrs,
        "method": json.dumps(description),
        "target_loss": target_loss,
        "n_steps": n_steps,
    }
