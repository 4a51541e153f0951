"""Run gradient descent and record its trajectory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike

from ._validation import as_count, as_real, as_threads, as_weights, seed_from, widths_of
from .exact_algebra import ExactCompression, as_exact_compression, core_start
from .flow_loop import FlowLoop
from .flows import GradientFlow
from .interruption import ending_with_sigterm
from .keeping import Keeper
from .loop import Loop, Setup
from .methods import Method
from .names import Coords, agreed, recorded_names
from .problems import Problem
from .quantities import ON_FULL_LAYERS
from .recording import Record, Stop
from .step_loop import StepLoop
from .storage import require_zarr
from .tables import names_of_layers
from .times import ExplicitTimes
from .trajectory import State, Trajectory

__all__ = ["run"]

# Steps are counted in 64 bits.
LARGEST_STEP = 2**62


def run(
    problem: Problem,
    weights: Sequence[ArrayLike] | Trajectory,
    method: Method | GradientFlow | None = None,
    *,
    n_steps: int | None = None,
    until: float | None = None,
    record: Record | None = None,
    stop: Stop | None = None,
    rng: int | np.random.Generator | None = None,
    progress: bool | None = None,
    threads: int = 1,
    exact_compression: ExactCompression = True,
    store: str | PathLike[str] | None = None,
) -> Trajectory:
    """Run a method on a problem from a start and record the trajectory.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    weights : sequence of array_like, shape (d_j, d_{j-1}), or Trajectory
        The layers, all float64 or all float32, which is the dtype of the run; or the result of an
        earlier run, which goes on bit for bit as if it had not been interrupted. Not modified.
        Names of inputs and outputs that layers or trajectory have must be those of the problem, if
        that has any.
    method : Method or GradientFlow, optional
        How to step. A trajectory brings its own; another method starts with fresh state. A flow
        goes on from a flow only, and steps from steps; `trajectory.weights` begin anew.
    n_steps : int
        Steps to add, at least 0; with `store`, the absolute step at which the run ends. Not with a
        flow.
    until : float
        Time at which a flow ends, counted from its time 0, in place of `n_steps`.
    record : Record, optional
        What to record and when; the loss at 200 log-spaced steps if not given, or what the
        trajectory recorded. Step 0 and the last step are always recorded.
    stop : Stop, optional
        When to end before that.
    rng : int, numpy.random.Generator or None
        Seed of the mini-batches, if there are any. A trajectory brings its own.
    progress : bool, optional
        Whether to show a progress bar; by default in terminals and notebooks only.
    threads : int
        How many threads share the products of one step, from about width 100 on; at most as many
        as there are processors. The results are the same bits for every number.
    exact_compression : bool or "rank", default True
        Whether the core may work in fewer or rotated coordinates where that is exact and pays; see
        Notes.
        "rank" cuts further, to what the start spans: singular values of layers below about
        (max(d) eps)^(1/N) of the largest count as zero. A trajectory goes on in the coordinates
        that it has, unless this is False, or "rank" and it was not cut by rank.
    store : path-like, optional
        Where records go while the run goes on, ending in ``.zarr`` (extra ``store``); memory does
        not grow with them. At most once a second they are committed, together with what it takes
        to go on from there: they survive the process. If there is a store of this run at that
        path, the run goes on from its last commit, with the bits of one that was never stopped;
        `weights`, `problem`, `method`, `record` and `rng` are only compared then. `open` reads a
        store at any time.

    Returns
    -------
    Trajectory
        The whole history if `weights` is a trajectory; a last record off its schedule is dropped.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, before the run starts; if a store is damaged, or of
        another run. What a function of the user's raises comes through, with a note naming the
        step.
    RuntimeError
        If somebody else writes the store; in a process that was forked during the run.
    OSError
        If a store cannot be written; what was committed stays.

    Notes
    -----
    Gradient descent, momentum, GroupRMSprop, EndToEndDescent and gradient flow commute with
    rotations, and gradients stay in the span of what is next to a width. So hidden widths count as
    min(d_j, d_{j-1} + d_{j+1}), and for `TargetMatrix` and squared `Regression` d_0 as rank + d_1
    and d_N as rank + d_{N-1}, with the rank of target or data. From an input of width 8 on, where
    no mini-batches are drawn, that of a squared `Regression` is also rotated to the right singular
    vectors of its data: this takes two products out of a step. Results are those of the full
    network to rounding; the attribute `exact_algebra` of the data says what was done. By counting,
    no direction is lost that the full run could reach. `exact_compression="rank"` does lose those
    that a rank-deficient start would reach by rounding alone: such a run stays on its saddle. A run
    with momentum that goes on with another problem, or leaves its coordinates, goes on in full
    ones.

    Divergence is a result: the run ends at the first step whose loss is not finite.

    Ctrl-C ends the run with what it has (status "interrupted"); a second one within two seconds
    raises KeyboardInterrupt. With a store, SIGTERM commits what there is before it ends the
    process, unless the process handles it itself.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.diag([3.0, 1.0]))
    >>> weights = dln.init.balanced([2, 2, 2], scale=0.1, rng=0)
    >>> trajectory = dln.run(problem, weights, dln.GradientDescent(0.1), n_steps=1000)
    >>> trajectory.status, bool(trajectory.data.loss[-1] < 1e-12)
    ('finished', True)
    """
    wish = as_exact_compression(exact_compression)
    setup = _check(problem, weights, method, record, stop, rng, wish)
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: expected a bool or None, got {type(progress).__name__}")
    n_threads = as_threads(threads)
    if store is None:
        return _loop(setup, n_steps, until, n_threads).execute(progress)
    require_zarr()
    # Before the store, which what is wrong here shall neither make nor change.
    _check_end(setup, None if n_steps is None else _steps_left(n_steps, setup), until)
    from .storage.identity import identity
    from .storage.stores import RunStore

    with (
        ending_with_sigterm(),
        RunStore(store, identity(setup, wish, has_seed=rng is not None), setup) as kept,
    ):
        if kept.is_over():
            return kept.opened()
        if kept.earlier is not None:
            setup = _going_on(setup, kept.earlier, wish)
        n_steps = None if n_steps is None else _steps_left(n_steps, setup)
        return _loop(setup, n_steps, until, n_threads, kept).execute(progress)


def _going_on(setup: Setup, earlier: Trajectory, wish: ExactCompression) -> Setup:
    """Return the setup of a run that goes on where its store ends."""
    layers = earlier.weights
    core = core_start(setup.problem, layers, setup.method, earlier, wish)
    names = {**recorded_names(earlier.data), **setup.names}  # which the store has compared
    return replace(
        setup, weights=layers, state=earlier.state, earlier=earlier, core=core, names=names
    )


def _steps_left(n_steps: int, setup: Setup) -> int:
    """Return the steps from where a run is to the absolute step at which it ends."""
    end = as_count(n_steps, "n_steps", 0, LARGEST_STEP)
    if end < setup.state.step:
        raise ValueError(
            f"n_steps: expected at least {setup.state.step}, the step at which the run is, as "
            f"with store= it is absolute, got {end}"
        )
    return end - setup.state.step


def _loop(
    setup: Setup,
    n_steps: int | None,
    until: float | None,
    threads: int,
    keeper: Keeper | None = None,
) -> Loop:
    method = setup.method
    end = _check_end(setup, n_steps, until)
    if isinstance(method, GradientFlow):
        assert setup.record.times is not None
        return FlowLoop(setup, method, setup.record.times, end, threads, keeper)
    return StepLoop(setup, method, int(end), threads, keeper)


def _check_end(setup: Setup, n_steps: int | None, until: float | None) -> float:
    """Return the steps that a run takes, or the time until which a flow goes."""
    method = setup.method
    if isinstance(method, GradientFlow):
        _check_flow(setup, n_steps)
        return _as_until(until, setup.state.time[0])
    if until is not None:
        kind = type(method).__name__
        raise ValueError(f"until: expected a GradientFlow, which runs until a time, got {kind}")
    if n_steps is None:
        raise TypeError("n_steps: expected the number of steps to add, got none")
    if isinstance(setup.record.times, ExplicitTimes):
        kind = type(method).__name__
        raise ValueError(f"record: expected steps, as {kind} is not a flow, got times")
    _check_same_kind(setup, "n_steps")
    n_steps = as_count(n_steps, "n_steps", 0, LARGEST_STEP - setup.state.step)
    method.check_steps(setup.state.step + n_steps)
    return n_steps


def _check_flow(setup: Setup, n_steps: int | None) -> None:
    """Raise unless a flow can begin like this."""
    if n_steps is not None:
        raise ValueError("n_steps: expected until=TIME in its place, as the method is a flow")
    if setup.record.times is None:
        raise ValueError("record: expected times, as the method is a flow, got steps")
    if "learning_rate" in setup.record.names:
        raise ValueError("record: expected no learning_rate, as a flow has none")
    dtype = setup.weights[0].dtype
    if dtype != np.float64:
        raise TypeError(f"weights: expected float64, as the method is a flow, got {dtype}")
    _check_same_kind(setup, "until")


def _check_same_kind(setup: Setup, how: str) -> None:
    earlier = setup.earlier
    if earlier is None or isinstance(earlier.method, GradientFlow) == (how == "until"):
        return
    ours, theirs = ("a flow", "steps") if how == "until" else ("steps", "a flow")
    raise ValueError(
        f"weights: expected a trajectory of {ours} to go on from, got one of {theirs}; pass "
        "trajectory.weights to begin a new one"
    )


def _as_until(until: float | None, present: float) -> float:
    if until is None:
        raise TypeError("until: expected the time at which the flow ends, got none")
    end = as_real(until, "until", minimum=0.0)
    if end < present:
        raise ValueError(f"until: expected a time >= {present!r}, where the run is, got {end!r}")
    return end


def _check(
    problem: Problem,
    weights: Sequence[ArrayLike] | Trajectory,
    method: Method | GradientFlow | None,
    record: Record | None,
    stop: Stop | None,
    rng: int | np.random.Generator | None,
    wish: ExactCompression,
) -> Setup:
    earlier = weights if isinstance(weights, Trajectory) else None
    if earlier is not None:
        method = earlier.method if method is None else method
        record = _record_of(earlier) if record is None else record
    record = Record() if record is None else record
    stop = Stop() if stop is None else stop
    if not isinstance(problem, Problem):
        raise _wrong_type(problem, Problem, "problem")
    if not isinstance(method, Method | GradientFlow):
        raise _wrong_type(method, Method, "method")
    if not isinstance(record, Record):
        raise _wrong_type(record, Record, "record")
    if not isinstance(stop, Stop):
        raise _wrong_type(stop, Stop, "stop")
    if isinstance(weights, Iterator):
        weights = list(weights)
    layers = as_weights(weights) if earlier is None else earlier.weights
    widths = widths_of(layers)
    problem.check_shape(widths)
    names = _names(problem, weights, widths[-1])
    if isinstance(method, Method):
        method.check_network(widths, record.names)
    _check_knowledge(problem, record)
    state = State(0, (0.0, 0.0), None, {}) if earlier is None else earlier.state
    draws = isinstance(method, Method) and method.batch_size is not None and state.seed is None
    if rng is not None or draws:
        state = replace(state, seed=seed_from(rng))
    return Setup(
        problem,
        layers,
        widths,
        method,
        record,
        stop,
        state,
        earlier,
        core_start(problem, layers, method, earlier, wish),
        names,
    )


def _names(problem: Problem, weights: Sequence[ArrayLike] | Trajectory, n_outputs: int) -> Coords:
    """Return the names of inputs and outputs that problem and start agree on."""
    if isinstance(weights, Trajectory):
        start = "the trajectory", recorded_names(weights.data)
    else:
        start = "weights", names_of_layers(weights)
    return agreed([("problem", problem.names_at(n_outputs)), start])


def _wrong_type(value: object, expected: type, name: str) -> TypeError:
    return TypeError(f"{name}: expected a {expected.__name__}, got {type(value).__name__}")


def _record_of(earlier: Trajectory) -> Record:
    if earlier.record.missing_callables:
        names = ", ".join(earlier.record.missing_callables)
        raise ValueError(
            f"record: expected the record again, as its functions ({names}) are not saved"
        )
    return earlier.record


def _check_knowledge(problem: Problem, record: Record) -> None:
    kind = type(problem).__name__
    if "reconstruction_error" in record.names and problem.ground_truth is None:
        raise ValueError(
            f"record: expected a problem with ground_truth= for reconstruction_error, got {kind} "
            "without one"
        )
    if "held_out_error" in record.names and problem.held_out is None:
        raise ValueError(
            f"record: expected a problem with held_out= for held_out_error, got {kind} without one"
        )
    if set(record.names) & set(ON_FULL_LAYERS):
        problem.check_curvature()
