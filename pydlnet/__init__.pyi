from . import baselines, chain, datasets, metrics, reproduce, theory
from . import initialization as init
from . import jax as jax  # needs an extra, as sklearn and torch do: not in __all__
from . import plots as plot
from . import sklearn as sklearn
from . import torch as torch
from ._version import VERSION as __version__
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
from .reports import report
from .simulate import run
from .storage import open_trajectory as open
from .storage.ensembles import open_ensemble
from .sweeps import Sweep, open_sweep, sweep, sweep_ensemble
from .trajectory import Trajectory
from .tuning import Tuning, tune

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
    "open_ensemble",
    "open_sweep",
    "plot",
    "report",
    "reproduce",
    "run",
    "run_ensemble",
    "sweep",
    "sweep_ensemble",
    "theory",
    "tune",
    "whiten",
]
