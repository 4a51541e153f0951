"""The experiments of the papers, run again and compared with what the papers say.

Each is a function, see `Experiment`: ``reproduce.acceleration("folder", seed=1)`` writes datasets,
figures and a summary, and returns a `Report`. On the command line: ``pydlnet reproduce``.
"""

from . import acceleration as _acceleration
from . import convergence as _convergence
from . import low_rank as _low_rank
from .experiment import Experiment, Report
from .report import Outcome, Part, Settings

__all__ = ["EXPERIMENTS", "Experiment", "Outcome", "Part", "Report", "Settings"]

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("acceleration", _acceleration.PAPER, _acceleration.parts, ("data",)),
        Experiment("convergence", _convergence.PAPER, _convergence.parts, ("data",)),
        Experiment("low-rank", _low_rank.PAPER, _low_rank.parts, ("ratings",)),
    )
}
"""Every experiment by its name on the command line."""

acceleration = EXPERIMENTS["acceleration"]
convergence = EXPERIMENTS["convergence"]
low_rank = EXPERIMENTS["low-rank"]
