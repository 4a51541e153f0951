"""Matrix sensing at several depths from starts of several scales.

A step reads all measurements. Where they do not fit into the cache, the networks that share them
take their steps together, so that one product of two matrices serves them all.
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import chain
from ..ensembles import run_ensemble
from ..metrics import effective_rank, nuclear_norm
from ..problems import MatrixSensing
from ..recording import Record, Stop, log_spaced
from . import recovery, recovery_outcomes
from .experiment import unbroken
from .recovery import DTYPE, LOSS, MEASURES, Ends, Grid
from .report import Part, Settings

__all__ = ["DEFAULT", "FULL", "descend_together", "part"]

# A copy of the paper's problem in small, with about as many measurements for each degree of
# freedom of the matrix: 2,000 and 5,000 for 975 there, 230 and 570 for 116 here.
DEFAULT = Grid(30, 2, (230, 570), (1e-3, 1e-5), n_seeds=3)
FULL = Grid(100, 5, (2000, 5000), (1e-3, 1e-4, 1e-5, 1e-6), n_seeds=1)

# Bytes of measurements from which networks that take their steps together are faster.
_CACHE = 16 * 10**6

# What networks on 100 x 100 entries take, about; for the time that is printed beforehand.
_TYPICAL_STEPS = 50_000
_TRIED_STEPS = 10


def part(settings: Settings, grid: Grid, name: str = "sensing") -> Part:
    """Recover each matrix from few and from many measurements, by networks and the convex way.

    Parameters
    ----------
    settings : Settings
        Seed, threads, and where news go. Products with measurements that do not fit into the cache
        are left to NumPy, whose library has threads of its own.
    grid : Grid
        Which networks.
    name : str
        Of the part.
    """
    ends: Ends = {key: np.empty(grid.sizes) for key in (*MEASURES, "loss", "steps")}
    baselines: dict[tuple[int, int], Any] = {}
    for (m, count), k in itertools.product(enumerate(grid.observations), range(grid.n_seeds)):
        rng = np.random.default_rng((settings.seed, k))
        problem = MatrixSensing.synthetic(grid.shape, grid.rank, count, rng)
        settings.say(f"{name}: {count:,} measurements, problem {k + 1} of {grid.n_seeds}")
        large = problem.measurements.nbytes > _CACHE
        if large and not baselines:
            _announce(settings, grid, problem)
        baselines[m, k] = recovery.baseline(problem)
        last = (_together if large else _apart)(settings, grid, problem, k)
        for key, values in ends.items():
            values[m, :, :, k] = last[key].reshape(len(grid.depths), len(grid.scales))
    data = recovery.dataset(grid, ends, baselines)
    figure = recovery_outcomes.draw(data, "sensing")
    return Part(name, data, figure, recovery_outcomes.outcomes(data, name), grid.words)


def _apart(settings: Settings, grid: Grid, problem: MatrixSensing, k: int) -> Ends:
    """Return how the networks of all depths and scales end, each on its own."""
    rows = []
    for depth in grid.depths:
        ensemble = unbroken(
            run_ensemble(
                problem,
                [recovery.start(grid, depth, s, (settings.seed, k)) for s in grid.scales],
                recovery.method(grid.learning_rate),
                n_steps=grid.max_steps,
                record=Record(("loss", *MEASURES), steps=log_spaced(50)),
                stop=Stop(loss=LOSS),
                progress=False,
                threads=settings.threads,
            )
        )
        rows.append(recovery.ends(ensemble))
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def _starts(settings: Settings, grid: Grid, k: int) -> list[list[Any]]:
    """Return where the networks of all depths and scales start."""
    return [
        recovery.start(grid, depth, scale, (settings.seed, k))
        for depth, scale in itertools.product(grid.depths, grid.scales)
    ]


def _announce(settings: Settings, grid: Grid, problem: MatrixSensing) -> None:
    """Say how long all networks will take, from a few steps on the first problem."""
    starts = _starts(settings, grid, 0)
    began = time.monotonic()
    descend_together(problem, starts, grid.learning_rate, _TRIED_STEPS)
    seconds = (time.monotonic() - began) / _TRIED_STEPS
    share = sum(grid.observations) / problem.n_samples * grid.n_seeds
    settings.say(
        f"sensing: {1e3 * seconds:.0f} ms for a step of {len(starts)} networks; all of them take "
        f"about {seconds * share * _TYPICAL_STEPS / 60:.0f} minutes"
    )


def _together(settings: Settings, grid: Grid, problem: MatrixSensing, k: int) -> Ends:
    """Return how the networks of all depths and scales end, step by step together."""
    starts = _starts(settings, grid, k)
    members = descend_together(problem, starts, grid.learning_rate, grid.max_steps)
    products = [chain.product(member.layers).astype(np.float64) for member in members]
    truth = np.asarray(problem.ground_truth)
    measured = {
        "reconstruction_error": [np.mean((matrix - truth) ** 2) for matrix in products],
        "effective_rank": [effective_rank(matrix) for matrix in products],
        "nuclear_norm": [nuclear_norm(matrix) for matrix in products],
        "loss": [member.loss for member in members],
        "steps": [member.step for member in members],
    }
    return {key: np.array(values, dtype=np.float64) for key, values in measured.items()}


@dataclass
class Member:
    """A network on its way.

    Attributes
    ----------
    layers : list of ndarray
        At `step`.
    average : float
        That of the squared gradient norms, v of `GroupRMSprop`.
    step : int
        Steps taken.
    loss : float
        At `step`.
    """

    layers: list[Any]
    average: float = 0.0
    step: int = 0
    loss: float = np.inf

    def move(self, gradient: Any, learning_rate: float) -> None:
        """Take a step of `GroupRMSprop`, given the gradient in the end-to-end matrix."""
        method = recovery.method(learning_rate)
        gradients = chain.gradients(self.layers, gradient)
        square = sum(float(np.vdot(layer, layer)) for layer in gradients)
        self.average = method.decay * self.average + (1.0 - method.decay) * square
        self.step += 1
        root = np.sqrt(self.average / (1.0 - method.decay**self.step))
        rate = learning_rate / (root + method.epsilon)
        for layer, slope in zip(self.layers, gradients, strict=True):
            layer -= layer.dtype.type(rate) * slope


def descend_together(
    problem: MatrixSensing, starts: list[list[Any]], learning_rate: float, n_steps: int
) -> list[Member]:
    """Run `GroupRMSprop` from many starts, of any depths, that share their measurements.

    Parameters
    ----------
    problem : MatrixSensing
        With the mean over the measurements.
    starts : list of list of ndarray
        The layers, changed in place.
    learning_rate : float
        As in `recovery.method`.
    n_steps : int
        Steps after which a network is given up.

    Returns
    -------
    list of Member
        Where each one ended: at a loss of `LOSS` if it came there.
    """
    members = [Member(layers) for layers in starts]
    rows = problem.measurements.reshape(problem.n_samples, -1).astype(DTYPE)
    values = problem.values.astype(DTYPE)[:, np.newaxis]
    active = members
    while active:
        products = np.stack([chain.product(member.layers).ravel() for member in active], axis=1)
        residuals = rows @ products - values  # (n_samples, number of members)
        squares = np.einsum("ik,ik->k", residuals, residuals, dtype=np.float64)
        for member, square in zip(active, squares, strict=True):
            member.loss = float(square) / (2 * problem.n_samples)
        going = [m.loss > LOSS and m.step < n_steps for m in active]
        active = list(itertools.compress(active, going))
        slopes = (rows.T @ residuals[:, going]).T / DTYPE(problem.n_samples)
        for member, slope in zip(active, slopes, strict=True):
            member.move(slope.reshape(problem.shape), learning_rate)
    return members
