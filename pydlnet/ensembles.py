"""Run many networks of one shape in one call."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import _core, summaries
from ._display import as_table
from ._validation import widths_of
from ._version import VERSION
from .ensemble_arguments import Column, EnsembleSetup, Layers, Seed, checked
from .ensemble_loop import EnsembleLoop, Outcome
from .ensemble_records import over_runs
from .interruption import noticing_interruption
from .methods import Method
from .names import Coords, in_common, with_names
from .problems import Problem
from .recording import Record, Stop
from .trajectory import TIME_ATTRIBUTES, to_dataset

__all__ = ["EnsembleTrajectory", "run_ensemble"]


RUN_ATTRIBUTES = {"long_name": "number of the member", "units": "1", "reference": "definition"}


@dataclass(frozen=True, eq=False)
class EnsembleTrajectory:
    """What an ensemble did.

    Attributes
    ----------
    data : xarray.Dataset
        Recorded quantities over the dimensions `run` and `step`: the union of the recorded steps,
        with NaN where a member was not recorded. `status` and `last_step` say where each ended.
        Names of inputs and outputs are coordinates where all problems that have any agree.
    weights : list of list of ndarray, shape (d_j, d_{j-1})
        The layers of each member at its last step.
    status : tuple of str
        Why each member ended, as `Trajectory.status`.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 2.0)]
    >>> ensemble = dln.run_ensemble(problem, start, methods, n_steps=1000)
    >>> ensemble.status
    ('finished', 'finished', 'diverged')
    >>> ensemble.data.loss.dims, len(ensemble.weights)
    (('run', 'step'), 3)
    """

    data: xr.Dataset
    weights: list[list[NDArray[Any]]]
    status: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_N), the same for all members."""
        return widths_of(self.weights[0])

    def save(self, path: str | PathLike[str]) -> None:
        """Write data and final layers to a file, which `open_ensemble` opens.

        Parameters
        ----------
        path : path-like
            Ending in ``.nc`` (NetCDF) or ``.zarr`` (Zarr; extra ``store``), as for
            `Trajectory.save`: what is there is replaced once the new one is complete.

        Raises
        ------
        ValueError
            If the ending is another one, or something else is at that path.
        FileNotFoundError
            If there is no folder to write to.
        ImportError
            If the path ends in ``.zarr`` and Zarr is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import pydlnet as dln
        >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
        >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
        >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1)]
        >>> dln.run_ensemble(problem, start, methods, n_steps=100).save("runs.nc")
        >>> dln.open_ensemble("runs.nc").status
        ('finished', 'finished')
        """
        from .storage.ensembles import save_ensemble

        save_ensemble(self, path)

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.status)

    def __repr__(self) -> str:
        """Show how the members ended and what was recorded."""
        return summaries.line_of_ensemble(self)

    def _repr_html_(self) -> str:
        """Show the same as a table, with the losses at which runs ended."""
        facts = summaries.facts_of_ensemble(self)
        return as_table(f"EnsembleTrajectory of {len(self):,} runs", facts.items())


def run_ensemble(
    problems: Problem | Sequence[Problem],
    starts: Layers | Sequence[Layers],
    methods: Method | Sequence[Method],
    *,
    n_steps: int,
    record: Record | None = None,
    stop: Stop | Sequence[Stop] | None = None,
    rng: Seed | Sequence[Seed] = None,
    progress: bool | None = None,
    threads: int = 1,
) -> EnsembleTrajectory:
    """Run many networks of one shape, each on its own problem, from its own start, at its own rate.

    `problems`, `starts`, `methods`, `stop` and `rng` are each one value for all members or a
    sequence with one for each; all sequences have the same length.

    Parameters
    ----------
    problems : Problem or sequence of Problem
        What is minimised.
    starts : sequence of array_like, shape (d_j, d_{j-1}), or sequence of these
        The layers: of the same widths and dtype for all members. Not modified.
    methods : Method or sequence of Method
        How to step: of one class; rates and everything else may differ.
    n_steps : int
        Steps to take, at least 0.
    record : Record, optional
        What to record of every member and when; the loss at 200 log-spaced steps if not given.
        Step 0 and the last step of every member are always recorded.
    stop : Stop or sequence of Stop, optional
        When to end a member before that. `seconds` counts from the start of the ensemble.
    rng : int, numpy.random.Generator or None, or a sequence of these
        Seeds of the mini-batches, if there are any. From one value a seed for each member is drawn,
        in their order; a sequence is what each member's `run` would get. The seeds are the
        coordinate `seed` of the data.
    progress : bool, optional
        Whether to show a progress bar; by default in terminals and notebooks only.
    threads : int, default 1
        How many threads share the work, at least 1. No number depends on it.

    Returns
    -------
    EnsembleTrajectory
        With one dataset that has the dimension `run` in front.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the run starts. What a function of the user's raises
        comes through, with a note naming run and step.

    Notes
    -----
    Each step of a member agrees with that of a single `run` to rounding, and a member has the same
    bits in any company: alone or with others, in any order, on any number of threads.

    A member that converges or diverges ends on its own; the others go on. Ctrl-C ends those that
    are left with what they have (status "interrupted").

    Functions of the user's (a quantity, a condition of `stop`, an `EndToEndLoss`) are called from
    the thread that called this one: where there is an `EndToEndLoss`, it does all the work.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> start = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
    >>> methods = [dln.GradientDescent(rate) for rate in (0.01, 0.1, 1.0)]
    >>> ensemble = dln.run_ensemble(problem, start, methods, n_steps=1000)
    >>> ensemble.status
    ('finished', 'finished', 'diverged')
    >>> ensemble.data.loss.dims
    ('run', 'step')
    """
    setup = checked(problems, starts, methods, n_steps, record, stop, rng, threads)
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: expected a bool or None, got {type(progress).__name__}")
    began = time.monotonic()
    loop = EnsembleLoop(setup)
    # To the end, as the interpreter waits for what is counted there before it goes away.
    with noticing_interruption() as interruption:
        outcome = loop.execute(progress, interruption)
        descriptions = _descriptions(setup)
        data = _dataset(setup, outcome, descriptions)
        data.attrs = _attributes(setup, descriptions, time.monotonic() - began)
        return EnsembleTrajectory(data, outcome.weights, outcome.status)


def _dataset(
    setup: EnsembleSetup, outcome: Outcome, descriptions: "dict[str, Column[str]]"
) -> xr.Dataset:
    times = outcome.arrays.pop("time")
    variables = {name: over_runs(variable) for name, variable in outcome.variables.items()}
    data = to_dataset(outcome.steps, None, outcome.arrays, variables)
    coordinates: dict[str, Any] = {"run": ("run", np.arange(setup.n_members), RUN_ATTRIBUTES)}
    if setup.methods[0].has_time:
        coordinates["time"] = (("run", "step"), times, TIME_ATTRIBUTES)
    if setup.seeds is not None:
        seeds = setup.seeds.astype(np.int64)
        coordinates["seed"] = ("run", seeds, _attributes_of("seed of the mini-batches"))
    for name, texts in descriptions.items():
        if len(texts.distinct) > 1:
            each = np.array(texts.distinct, dtype=object)[texts.places]
            coordinates[name] = ("run", each, _attributes_of(f"{name} of each run"))
    status = ("run", np.array(outcome.status), _attributes_of("why the run ended"))
    last_step = ("run", outcome.last_steps, _attributes_of("the step at which the run ended"))
    labelled = data.assign_coords(coordinates).assign(status=status, last_step=last_step)
    return with_names(labelled, _names(setup))


def _names(setup: EnsembleSetup) -> Coords:
    """Return the names of inputs and outputs on which all problems that have any agree."""
    every = [problem.names_at(setup.widths[-1]) for problem in setup.problems.distinct]
    return in_common(every)


def _attributes_of(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": "definition"}


def _descriptions(setup: EnsembleSetup) -> "dict[str, Column[str]]":
    """Return problem and method of each run as JSON."""
    problems = [json.dumps(problem.describe()) for problem in setup.problems.distinct]
    methods = [json.dumps(method.to_dict()) for method in setup.methods.distinct]
    return {
        "problem": Column([problems[place] for place in setup.problems.places]),
        "method": Column([methods[place] for place in setup.methods.places]),
    }


def _attributes(
    setup: EnsembleSetup, descriptions: "dict[str, Column[str]]", seconds: float
) -> dict[str, Any]:
    """Return what holds for all runs."""
    common = {
        name: texts.distinct[0] for name, texts in descriptions.items() if len(texts.distinct) == 1
    }
    algebra = dict.fromkeys(problem.exact_algebra for problem in setup.problems.distinct)
    return {
        **common,
        "widths": list(setup.widths),
        "dtype": str(setup.starts[0][0].dtype),
        "version": VERSION,
        "instruction_set": _core.ISA,
        "exact_algebra": "; ".join(algebra),
        "wall_seconds": seconds,
    }
