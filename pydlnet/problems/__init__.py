"""Problems: what is minimised, as a loss of the end-to-end matrix W = W_N ... W_1.

A problem checks and copies its data once, to float64; a run in float32 rounds it once. Sums of
squares carry the factor 1/2, and problems made of data take `reduction="mean"` (over samples,
entries or measurements; outputs are summed) or `"sum"`.
"""

from .base import Problem
from .classification import Classification
from .completion import MatrixCompletion
from .custom import EndToEndLoss
from .regression import Regression
from .sensing import MatrixSensing
from .target import TargetMatrix
from .whitening import Whitened, whiten

__all__ = [
    "Classification",
    "EndToEndLoss",
    "MatrixCompletion",
    "MatrixSensing",
    "Problem",
    "Regression",
    "TargetMatrix",
    "Whitened",
    "whiten",
]
