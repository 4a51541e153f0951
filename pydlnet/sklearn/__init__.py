"""Estimators for scikit-learn that descend over deep linear networks.

Needs the extra ``sklearn``.
"""

try:
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        'pydlnet.sklearn needs scikit-learn: pip install "pydlnet[sklearn]"', name="sklearn"
    ) from error

from .completion import DeepMatrixCompletion
from .regression import DeepLinearRegressor

__all__ = ["DeepLinearRegressor", "DeepMatrixCompletion"]
