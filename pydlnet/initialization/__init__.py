"""Starts: functions that return the layers of a network, W_1 first, as a list of arrays.

`scale` multiplies the end-to-end matrix W = W_N ... W_1 and so scale^(1/N) each layer. Random
starts are drawn in float64 and rounded at the end, so both dtypes start at the same place.
"""

from .factored import balanced, balanced_from, spectral
from .layerwise import gaussian, identity, orthogonal, uniform

__all__ = [
    "balanced",
    "balanced_from",
    "gaussian",
    "identity",
    "orthogonal",
    "spectral",
    "uniform",
]
