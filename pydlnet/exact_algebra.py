"""Which coordinates a run works in: full or compressed, from a start or going on with a run."""

import json
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bases import compress
from .compression import Compression
from .flows import GradientFlow
from .methods import Method
from .problems import Problem
from .trajectory import State, Trajectory

__all__ = ["CoreStart", "as_exact_compression", "core_start", "description"]

ExactCompression = bool | Literal["rank"]
Layers = list[NDArray[Any]]


class CoreStart(NamedTuple):
    """Where the core begins."""

    layers: Layers
    method_state: dict[str, Any] | None  # None for a method that begins here
    compression: Compression | None


def as_exact_compression(value: Any) -> ExactCompression:
    """Return True, False or "rank"."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) and value == "rank":
        return "rank"
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f'exact_compression: expected True, False or "rank", got {value!r}')


def description(
    problem: Problem,
    compression: Compression | None,
    *,
    depth: int,
    sparse: bool,
    meeting_layer: int,
) -> str:
    """Return what is applied to a run, or "none"."""
    order = "none"
    if meeting_layer < depth - 1:  # products from the input meet the last layer otherwise
        order = f"products from {'the output side' if meeting_layer == 1 else 'both sides'}"
    applied = [
        problem.exact_algebra,
        "sparse residual" if sparse else "none",
        order,
        "none" if compression is None else str(compression),
    ]
    return "; ".join(text for text in applied if text != "none") or "none"


def core_start(
    problem: Problem,
    weights: Layers,
    method: Method | GradientFlow,
    earlier: Trajectory | None,
    wish: ExactCompression,
) -> CoreStart:
    """Return where the core begins.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    weights : list of ndarray, shape (d_j, d_{j-1})
        The full layers.
    method : Method
        How to step.
    earlier : Trajectory or None
        That the run continues.
    wish : bool or "rank"
        `exact_compression` of the run.

    Returns
    -------
    CoreStart
        A run that goes on keeps its coordinates as long as they fit problem and wish.
    """
    if earlier is None or method != earlier.method:
        return _begin(problem, weights, method, wish)
    # The step in progress of a flow was taken on its own problem.
    if isinstance(method, GradientFlow) and not _is_of(problem, earlier):
        return _begin(problem, weights, method, wish)
    state = earlier.state
    if _still_fits(problem, earlier, wish):
        layers = weights if state.compression is None else state.layers
        return CoreStart(layers, state.method, state.compression)
    full = _lifted(state)
    if any(full["buffers"]):  # what they remember may lie outside of new bases
        return CoreStart(weights, full, None)
    return _begin(problem, weights, method, wish)._replace(method_state=full)


def _begin(
    problem: Problem, weights: Layers, method: Method | GradientFlow, wish: ExactCompression
) -> CoreStart:
    if not wish or not method.commutes_with_rotations:
        return CoreStart(weights, None, None)
    batches = isinstance(method, Method) and method.batch_size is not None
    compression = compress(problem, weights, batches=batches, by_rank=wish == "rank")
    layers = weights if compression is None else compression.project(weights)
    return CoreStart(layers, None, compression)


def _still_fits(problem: Problem, earlier: Trajectory, wish: ExactCompression) -> bool:
    """Say whether a run can go on in the coordinates that it has."""
    compression = earlier.state.compression
    if compression is None:
        return wish != "rank"
    if not wish or (compression.changes_ends and not _is_of(problem, earlier)):
        return False
    return wish != "rank" or compression.by_rank


def _is_of(problem: Problem, earlier: Trajectory) -> bool:
    return bool(earlier.data.attrs["problem"] == json.dumps(problem.describe()))


def _lifted(state: State) -> dict[str, Any]:
    """Return what the method remembers in full coordinates."""
    if state.compression is None:
        return state.method
    buffers = [state.compression.lift(layers) for layers in state.method["buffers"]]
    return {**state.method, "buffers": buffers}
