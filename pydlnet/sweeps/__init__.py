"""Sweeps: any experiment over a grid, kept point by point, resumed, on one machine or many."""

from .ensemble import sweep_ensemble
from .opened import Failure, Sweep, open_sweep
from .sweep import sweep

__all__ = ["Failure", "Sweep", "open_sweep", "sweep", "sweep_ensemble"]
