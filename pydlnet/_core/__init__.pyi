"""What the core offers: functions on C-contiguous arrays and on opaque capsules.

Shapes: inputs (m, d_0), outputs (m, d_N), targets (d_N, d_0), layers (d_j, d_{j-1}).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ISA: str

def available() -> tuple[str, ...]: ...

# Decompositions: float64, with k = min(m, n).

def svd(
    matrix: NDArray[np.float64],  # (m, n)
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
]: ...  # (m, k), (k,), (n, k)
def singular_values(matrix: NDArray[np.float64]) -> NDArray[np.float64]: ...  # (k,)
def qr(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...  # (m, k), (k, n)
def row_space(
    matrix: NDArray[np.float64],  # (m, n), nearly coefficients @ basis.T
    tolerance: float,  # relative to the largest singular value
    largest: int,  # rank at which to stop
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...  # basis (n, k), coefficients (m, k)
def reduce_least_squares(
    inputs: NDArray[np.float64], outputs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]: ...  # R, Q^T Y, ||Y - Q Q^T Y||_F^2

# Losses, as capsules; `single` rounds their data to float32.

def target_loss(target: NDArray[np.float64], single: bool) -> object: ...
def power_loss(
    inputs: NDArray[np.float64],
    outputs: NDArray[np.float64],
    power: float,
    mean: bool,
    single: bool,
    n_samples: int = 0,  # what the mean divides by, if not by the rows
    constant: float = 0.0,  # added to the loss
) -> object: ...
def diagonal_loss(  # factor / 2 ||W S - outputs||_F^2 + constant
    outputs: NDArray[np.float64],  # (d_N, d_0)
    scales: NDArray[np.float64],  # (d_0,), the diagonal of S
    factor: float,
    constant: float,
    single: bool,
) -> object: ...
def classification_loss(
    inputs: NDArray[np.float64],
    labels: NDArray[np.int64],
    n_outputs: int,
    mean: bool,
    single: bool,
) -> object: ...
def entries_loss(
    n_outputs: int,
    n_inputs: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    values: NDArray[np.float64],
    mean: bool,
    single: bool,
) -> object: ...
def sensing_loss(
    measurements: NDArray[np.float64],  # (n, d_N, d_0)
    values: NDArray[np.float64],
    mean: bool,
    single: bool,
) -> object: ...
def python_loss(
    function: Callable[[NDArray[Any]], tuple[float, NDArray[Any]]],
    hessian_product: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None,
    n_outputs: int,
    n_inputs: int,
    single: bool,
) -> object: ...

# The bare pass.

def chain_product(weights: Sequence[NDArray[Any]]) -> NDArray[Any]: ...
def chain_gradients(
    weights: Sequence[NDArray[Any]], end_to_end_gradient: NDArray[Any]
) -> list[NDArray[Any]]: ...
def chain_value_and_gradients(
    weights: Sequence[NDArray[Any]], loss: object
) -> tuple[float, list[NDArray[Any]]]: ...
def chain_step(
    weights: Sequence[NDArray[Any]], loss: object, rate: float
) -> list[NDArray[Any]]: ...

# Curvature, float64: vectors hold the layers one after the other, each row by row.

def open_curvature(
    weights: Sequence[NDArray[np.float64]],
    loss: object,
    layer: int | None,  # from 0, whose block of the Hessian it is to be; None for all of it
    tolerance: float,  # of residuals, relative to the larger extreme in size
    max_products: int,
) -> object: ...
def hessian_product(curvature: object, vector: NDArray[np.float64]) -> NDArray[np.float64]: ...
def search_extremes(
    curvature: object, largest: bool, smallest: bool, seconds: float
) -> bool: ...  # whether those that are wanted are found
def extreme_found(
    curvature: object, largest: bool
) -> tuple[float, float, int]: ...  # value, residual, number of products

# The loop: a session is opened, started at a step, advanced in slices and asked for what it has.

def open_descent(
    weights: Sequence[NDArray[Any]],
    loss: object,
    batch_loss: object | None,
    batch_size: int,
    seed: int,
    method: str,
    settings: Mapping[str, float],
    stop_loss: float,
    stop_gradient_norm: float,  # negative: never
    check_every: int,
    has_condition: bool,
    variables: Sequence[str],
    ground_truth: NDArray[np.float64] | None,
    held_out: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]] | None,
) -> object: ...
def use_threads(session: object, n_threads: int) -> None: ...
def start(
    session: object, step: int, time: tuple[float, float], state: Mapping[str, Any] | None
) -> None: ...
def advance(
    session: object,
    until: int,
    rates: NDArray[np.float64],  # of the steps from first_rate on; the last one repeats
    first_rate: int,
    record_steps: NDArray[np.int64],
    arrays: Mapping[str, NDArray[Any]],  # one row for each of record_steps
    pause_after_record: bool,
    seconds: float,
) -> str: ...  # "reached" | "recorded" | "check" | "converged" | "diverged" | "paused"
def record(session: object, arrays: Mapping[str, NDArray[Any]], rate: float) -> None: ...
def weights(session: object) -> list[NDArray[Any]]: ...
def views(session: object) -> list[NDArray[Any]]: ...
def state(session: object) -> dict[str, Any]: ...
def time(session: object) -> tuple[float, float]: ...
def step(session: object) -> int: ...
def is_sparse(session: object) -> bool: ...  # only observed entries of the residual are computed
def meeting_layer(session: object) -> int: ...  # products up to it come from the input
def is_recorded(session: object) -> bool: ...
def is_finite(session: object) -> bool: ...
def loss(session: object) -> float: ...  # at a recorded step

# A flow: a session that is advanced along times. What is asked of every session is asked of it too.

def open_flow(
    weights: Sequence[NDArray[np.float64]],
    loss: object,
    rtol: float,
    atol: float,
    weight_decay: float,
    stop_loss: float,
    stop_gradient_norm: float,  # negative: never
    check_every: int,
    has_condition: bool,
    variables: Sequence[str],
    ground_truth: NDArray[np.float64] | None,
    held_out: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]] | None,
) -> object: ...
def start_flow(
    session: object, number: int, time: float, state: Mapping[str, Any] | None
) -> None: ...
def advance_flow(
    session: object,
    times: NDArray[np.float64],  # of the records; the last one is where the flow ends
    first_number: int,
    arrays: Mapping[str, NDArray[Any]],  # one row for each of times
    pause_after_record: bool,
    seconds: float,
) -> str: ...  # as advance(), and "step_too_small"
def record_flow(session: object, arrays: Mapping[str, NDArray[Any]]) -> None: ...
def flow_state(session: object) -> dict[str, Any]: ...
def flow_time(session: object) -> float: ...
def flow_counts(session: object) -> tuple[int, int, int]: ...  # accepted, rejected, gradients
def imbalance_drift(session: object) -> float: ...

# Ensembles: the same for many networks of one shape.

def open_ensemble(
    starts: Sequence[Sequence[NDArray[Any]]],
    # pairs (full loss, batch loss or None), one for each thread or just one; ground truth; held out
    problems: Sequence[tuple[Sequence[tuple[object, object | None]], object, object]],
    methods: Sequence[tuple[str, Mapping[str, float]]],
    table: Mapping[str, NDArray[Any]],  # a number for each member, see cpp/bindings/ensemble.cpp
    variables: Sequence[str],
    last_step: int,
    last: Mapping[str, NDArray[Any]],  # one row a member, for last steps off the schedule
    path: str = "by shape",  # | "singles" | "lanes", for tests and measurements
) -> object: ...
def set_rates(session: object, method: int, rates: NDArray[np.float64], first: int) -> None: ...
def start_ensemble(session: object) -> None: ...
def advance_ensemble(
    session: object,
    until: int,
    record_steps: NDArray[np.int64],
    arrays: Mapping[str, NDArray[Any]],  # (members, record_steps, ...)
    pause_after_record: bool,
    seconds: float,
    threads: int,
) -> bool: ...  # whether every member has ended or is at `until`
def end_member(session: object, member: int, why: str) -> None: ...
def waiting_members(session: object) -> list[tuple[int, str]]: ...  # "recorded" | "check"
def member_steps(session: object) -> NDArray[np.int64]: ...
def members_ended(session: object) -> NDArray[np.bool_]: ...
def members_ended_off_schedule(session: object) -> NDArray[np.bool_]: ...
def member_status(session: object) -> list[str]: ...
def member_views(session: object, member: int) -> list[NDArray[Any]]: ...
def member_weights(session: object, member: int) -> list[NDArray[Any]]: ...
def failed_member(session: object) -> int: ...  # the number of members if none has failed

# Ctrl-C.

def count_interruptions() -> None: ...
def n_interruptions() -> int: ...
