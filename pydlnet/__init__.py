"""Trajectories of gradient descent over deep linear networks W = W_N ... W_1.

Layer j is ``weights[j - 1]``, of shape (d_j, d_{j-1}); layer 1 acts first. ``widths`` are
(d_0, ..., d_N) and ``depth`` is N. The end-to-end matrix W has shape (d_N, d_0). A step is one
update of all layers; step 0 is the start.
"""

from importlib.metadata import version as _version

from . import baselines, chain, datasets, metrics, theory
from . import initialization as init
from . import plots as plot
from .ensembles import EnsembleTrajectory, run_ensemble
from .flows import GradientFlow
from .methods import (
    AdaDelta,
    AdaGrad,
    Adam,
    EndToEndDescent,
    GradientDescent,
    GroupRMSprop,
    Momentum,
    RMSprop,
)
from .problems import (
    Classification,
    EndToEndLoss,
    MatrixCompletion,
    MatrixSensing,
    Regression,
    TargetMatrix,
    whiten,
)
from .recording import Record, Stop, log_spaced
from .simulate import run
from .storage import open_trajectory as open
from .sweeps import Sweep, open_sweep, sweep, sweep_ensemble
from .trajectory import Trajectory
from .tuning import Tuning, tune

__version__ = _version("pydlnet")

__all__ = [
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "Classification",
    "EndToEndDescent",
    "EndToEndLoss",
    "EnsembleTrajectory",
    "GradientDescent",
    "GradientFlow",
    "GroupRMSprop",
    "MatrixCompletion",
    "MatrixSensing",
    "Momentum",
    "RMSprop",
    "Record",
    "Regression",
    "Stop",
    "Sweep",
    "TargetMatrix",
    "Trajectory",
    "Tuning",
    "__version__",
    "baselines",
    "chain",
    "datasets",
    "init",
    "log_spaced",
    "metrics",
    "open",
    "open_sweep",
    "plot",
    "run",
    "run_ensemble",
    "sweep",
    "sweep_ensemble",
    "theory",
    "tune",
    "whiten",
]
