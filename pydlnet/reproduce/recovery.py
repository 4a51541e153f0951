"""Recovery of a low-rank matrix over a grid of depths and starts: settings, measures, dataset.

Completion and sensing differ in how the networks are run; everything else is here. Settings are
those of the released code of Arora, Cohen, Hu & Luo 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import initialization, metrics
from .._validation import FloatArray
from ..baselines import minimum_nuclear_norm
from ..ensembles import EnsembleTrajectory
from ..methods import GroupRMSprop
from ..problems import MatrixCompletion, MatrixSensing

__all__ = [
    "DTYPE",
    "LOSS",
    "MEASURES",
    "Ends",
    "Grid",
    "baseline",
    "dataset",
    "ends",
    "method",
    "start",
]

# Half the mean square error of 1e-6 at which the released code stops.
LOSS = 5e-7

# That of the released code, which says nothing about it and so gets PyTorch's default.
DTYPE = np.float32

# A loss without the factor 1/2 has gradients twice as large: the published 1e-4, halved, gives the
# same path.
_EPSILON = 5e-5

# Tolerance of the baseline's duality gap: the nuclear norms that are compared differ by 1e-4.
_GAP = 1e-7

MEASURES = {
    "reconstruction_error": "mean square error over all entries",
    "effective_rank": "effective rank of W",
    "nuclear_norm": "nuclear norm of W",
}

_REFERENCE = "arXiv:1905.13655"
_DIMS = ("observations", "depth", "init_scale", "seed")

Ends = dict[str, FloatArray]


@dataclass(frozen=True)
class Grid:
    """Which networks are run.

    Attributes
    ----------
    size, rank : int
        Of the square matrix to recover.
    observations : tuple of int
        Numbers of entries or measurements, ascending: few, and enough for every method.
    scales : tuple of float
        Scales of the start, descending; the end-to-end matrix has the norm scale * sqrt(size).
    n_seeds : int
        Matrices, each with entries or measurements and a start of its own.
    learning_rate : float
        Of GroupRMSprop.
    depths : tuple of int
        Depth 1 is the matrix itself.
    max_steps : int
        Steps after which a network is given up.
    """

    size: int
    rank: int
    observations: tuple[int, ...]
    scales: tuple[float, ...]
    n_seeds: int
    learning_rate: float = 1e-3
    depths: tuple[int, ...] = (1, 2, 3, 4)
    max_steps: int = 10**6

    @property
    def shape(self) -> tuple[int, int]:
        """(d_N, d_0)."""
        return self.size, self.size

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of the dimensions of the dataset."""
        return len(self.observations), len(self.depths), len(self.scales), self.n_seeds

    @property
    def words(self) -> str:
        """Return what the problems are made of."""
        return (
            f"synthetic: {self.n_seeds} random {self.size} x {self.size} matrices of rank "
            f"{self.rank} with mean square entries of 1"
        )


def method(learning_rate: float) -> GroupRMSprop:
    """Return the method of the released code."""
    return GroupRMSprop(learning_rate, epsilon=_EPSILON)


def start(grid: Grid, depth: int, scale: float, seed: tuple[int, int]) -> list[Any]:
    """Return Gaussian layers; those of different scales differ by a factor alone."""
    rng = np.random.default_rng([*seed, depth])
    return initialization.gaussian([grid.size] * (depth + 1), scale, rng, dtype=DTYPE)


def baseline(problem: MatrixCompletion | MatrixSensing) -> dict[str, float]:
    """Return what the matrix of least nuclear norm measures, and the one to recover."""
    truth = np.asarray(problem.ground_truth)
    least = minimum_nuclear_norm(problem, tolerance=_GAP)
    return {
        "baseline_reconstruction_error": float(np.mean((least.matrix - truth) ** 2)),
        "baseline_effective_rank": metrics.effective_rank(least.matrix),
        "baseline_nuclear_norm": least.nuclear_norm,
        "baseline_relative_gap": least.relative_gap,
        "truth_effective_rank": metrics.effective_rank(truth),
        "truth_nuclear_norm": metrics.nuclear_norm(truth),
    }


def ends(ensemble: EnsembleTrajectory) -> Ends:
    """Return what was recorded at the last step of each member."""
    data = ensemble.data
    last = data.sel(step=data["last_step"])
    measured = {name: last[name].values.astype(np.float64) for name in ("loss", *MEASURES)}
    return {**measured, "steps": data["last_step"].values.astype(np.float64)}


def dataset(grid: Grid, at_end: Ends, baselines: Mapping[tuple[int, int], Any]) -> xr.Dataset:
    """Return the dataset of a grid.

    Parameters
    ----------
    grid : Grid
        What was run.
    at_end : dict of str to ndarray, shape `grid.sizes`
        The measures, "loss" and "steps" at the last step of each network.
    baselines : mapping of (place of the observations, place of the seed) to dict
        What `baseline` returned.

    Returns
    -------
    Dataset
        Over observations, depth, init_scale and seed.
    """
    texts = {
        **MEASURES,
        "loss": "half the mean square error over what is observed",
        "steps": "steps taken",
        "relative_gap": "share of the nuclear norm that may be too much (duality gap)",
    }
    variables: dict[str, Any] = {
        name: (_DIMS, array, _words(texts[name])) for name, array in at_end.items()
    }
    for name in baselines[0, 0]:
        values = [
            [baselines[m, k][name] for k in range(grid.n_seeds)]
            for m in range(len(grid.observations))
        ]
        whose, _, measure = name.partition("_")
        matrix = {"baseline": "the matrix of least nuclear norm", "truth": "the ground truth"}
        long_name = texts[measure].replace(" of W", "") + f" of {matrix[whose]}"
        variables[name] = (("observations", "seed"), np.array(values), _words(long_name))
    coordinates = {
        "observations": list(grid.observations),
        "depth": list(grid.depths),
        "init_scale": ("init_scale", list(grid.scales), _words("scale of the start")),
        "seed": np.arange(grid.n_seeds),
    }
    attributes = {
        "shape": grid.shape,
        "rank": grid.rank,
        "learning_rate": grid.learning_rate,
        "epsilon": _EPSILON,
        "target_loss": LOSS,
        "dtype": np.dtype(DTYPE).name,
    }
    return xr.Dataset(variables, coordinates, attributes)


def _words(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1", "reference": _REFERENCE}
