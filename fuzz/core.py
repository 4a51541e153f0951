"""The compiled functions, called as they are meant to be but for some arguments.

Nothing may crash, hang or write where it should not: run this under sanitizers as well. Sizes are
small, so that no call is slow.
"""

import itertools
from typing import Any

import numpy as np

from pydlnet import _core

from .draws import Draws

METHODS = ("gradient_descent", "momentum", "adam", "adagrad", "adadelta", "rmsprop")
NUMBERS = ("learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon", "decay")
VARIABLES = (
    "loss", "time", "singular_value", "gradient_norm", "imbalance", "end_to_end", "W1", "W2",
    "alignment", "left_singular_vector", "effective_rank", "layer_singular_value", "held_out_error",
    "reconstruction_error", "learning_rate", "nonsense", "",
)  # fmt: skip


def check(data: bytes) -> None:
    """Call functions of the core as the bytes say."""
    draws = Draws(data)
    draws.one_of((decompositions, chains, curvature, descent, descent, flow, ensemble))(draws)


def call(draws: Draws, function: Any, *arguments: Any, **named: Any) -> Any:
    """Call with arguments of which one is odd now and then; None where that is refused."""
    given = list(arguments)
    if draws.is_odd(4) and given:
        given[draws.below(len(given))] = draws.value()
    if draws.is_odd(4) and named:
        named[draws.one_of(list(named))] = draws.value()
    try:
        return function(*given, **named)
    except (ValueError, TypeError, MemoryError, KeyError, RuntimeError, OverflowError):
        return None


def widths(draws: Draws) -> list[int]:
    return [1 + draws.below(9) for _ in range(2 + draws.below(4))]


def layers(draws: Draws, sizes: list[int], dtype: Any) -> list[Any]:
    return [draws.matrix(d_out, d_in, dtype) for d_in, d_out in itertools.pairwise(sizes)]


def loss(draws: Draws, sizes: list[int], single: bool) -> Any:
    """Return a loss of any kind for a network of these widths."""
    d_in, d_out, m = sizes[0], sizes[-1], draws.below(6)
    indices = np.random.default_rng(draws.byte())
    rows, cols = indices.integers(d_out, size=m), indices.integers(d_in, size=m)
    kinds = (
        ("target_loss", (draws.matrix(d_out, d_in), single)),
        ("power_loss", (draws.matrix(m, d_in), draws.matrix(m, d_out), 2.0, True, single, 0, 0.0)),
        ("power_loss", (draws.matrix(m, d_in), draws.matrix(m, d_out), 3.0, False, single, 9, 1.0)),
        ("diagonal_loss", (draws.matrix(d_out, d_in), np.ones(d_in), 1.0, 0.0, single)),
        ("classification_loss", (draws.matrix(m, d_in), rows, d_out, True, single)),
        ("entries_loss", (d_out, d_in, rows, cols, np.ones(m), True, single)),
        ("sensing_loss", (draws.matrix(m, d_out * d_in).reshape(m, d_out, d_in), np.ones(m), False,
                          single)),
        ("python_loss", (lambda w: (float(w.sum()), w), lambda w, v: v, d_out, d_in, single)),
    )  # fmt: skip
    name, arguments = draws.one_of(kinds)
    return call(draws, getattr(_core, name), *arguments)


def decompositions(draws: Draws) -> None:
    matrix = draws.matrix(draws.below(12), draws.below(12))
    call(draws, _core.svd, matrix)
    call(draws, _core.singular_values, matrix)
    call(draws, _core.qr, matrix)
    call(draws, _core.row_space, matrix, 1e-10, 5)
    call(draws, _core.reduce_least_squares, matrix, draws.matrix(len(matrix), draws.below(4)))


def chains(draws: Draws) -> None:
    sizes, single = widths(draws), draws.is_odd(2)
    weights = layers(draws, sizes, np.float32 if single else np.float64)
    call(draws, _core.chain_product, weights)
    call(draws, _core.chain_gradients, weights, draws.matrix(sizes[-1], sizes[0], weights[0].dtype))
    made = loss(draws, sizes, single)
    call(draws, _core.chain_value_and_gradients, weights, made)
    call(draws, _core.chain_step, weights, made, 0.1)


def curvature(draws: Draws) -> None:
    sizes = widths(draws)
    weights = layers(draws, sizes, np.float64)
    made = loss(draws, sizes, False)
    search = call(draws, _core.open_curvature, weights, made, draws.one_of((None, 0)), 1e-6, 30)
    size = sum(layer.size for layer in weights)
    call(draws, _core.hessian_product, search, np.ones(size))
    call(draws, _core.search_extremes, search, True, draws.is_odd(2), 0.01)
    call(draws, _core.extreme_found, search, True)


def knowledge(draws: Draws, sizes: list[int]) -> dict[str, Any]:
    held_out = (np.zeros(2, np.int64), np.zeros(2, np.int64), np.ones(2))
    return {
        "stop_loss": float(draws.one_of((-np.inf, 0.1, 1e9, np.nan))),
        "stop_gradient_norm": float(draws.one_of((-1.0, 0.1, np.inf, np.nan))),
        "check_every": draws.one_of((1, 2, 2**63 - 1)),
        "has_condition": draws.is_odd(3),
        "variables": [draws.one_of(VARIABLES) for _ in range(draws.below(5))],
        "ground_truth": draws.one_of((None, draws.matrix(sizes[-1], sizes[0]))),
        "held_out": draws.one_of((None, held_out)),
    }


def sinks(draws: Draws, variables: list[str], sizes: list[int], dtype: Any, n: int) -> Any:
    """Return arrays for n records, mostly of the size that the core expects."""
    d_in, d_out = sizes[0], sizes[-1]
    k = min(d_in, d_out)
    sized = {
        "end_to_end": (d_out, d_in), "singular_value": (k,), "imbalance": (len(sizes) - 2,),
        "alignment": (k, k), "left_singular_vector": (d_out, k),
        "layer_singular_value": (sum(min(a, b) for a, b in itertools.pairwise(sizes)),),
        "W1": (sizes[1], sizes[0]), "W2": (sizes[2], sizes[1]) if len(sizes) > 2 else (1, 1),
    }  # fmt: skip
    in_dtype = ("end_to_end", "W1", "W2")
    given = variables if draws.is_odd(2) else [*variables, "time"]
    return {
        name: np.zeros(
            (n, *sized.get(name, ())) if not draws.is_odd(9) else (draws.below(4),),
            dtype if name in in_dtype else np.float64,
        )
        for name in given
    }


def methods(draws: Draws) -> tuple[str, dict[str, float]]:
    numbers = {name: draws.one_of((0.1, 0.9, 0.0, 1.0)) for name in NUMBERS}
    return draws.one_of(METHODS), numbers


def descent(draws: Draws) -> None:
    sizes, single = widths(draws), draws.is_odd(2)
    dtype = np.float32 if single else np.float64
    known = knowledge(draws, sizes)
    kind, settings = methods(draws)
    session = call(
        draws,
        _core.open_descent,
        weights=layers(draws, sizes, dtype),
        loss=loss(draws, sizes, single),
        batch_loss=loss(draws, sizes, single) if draws.is_odd(3) else None,
        batch_size=draws.below(4),
        seed=3,
        method=kind,
        settings=settings,
        **known,
    )
    state = None
    for _ in range(draws.below(5)):
        call(draws, _core.start, session, draws.below(4), (0.0, 0.0), state)
        if draws.is_odd(4):
            call(draws, _core.use_threads, session, draws.below(4))
        steps = np.arange(draws.below(4), dtype=np.int64) + draws.below(3)
        arrays = sinks(draws, known["variables"], sizes, dtype, len(steps))
        step = call(draws, _core.step, session) or 0
        rates = np.full(draws.below(3), 0.1)
        call(
            draws, _core.advance, session, step + draws.below(4), rates, draws.below(2), steps,
            arrays, draws.is_odd(3), 0.001,
        )  # fmt: skip
        call(draws, _core.record, session, sinks(draws, known["variables"], sizes, dtype, 1), 0.1)
        state = call(draws, _core.state, session)
        for look in ("weights", "views", "time", "is_sparse", "is_finite", "loss", "is_recorded"):
            call(draws, getattr(_core, look), session)
        call(draws, _core.flow_state, session)


def flow(draws: Draws) -> None:
    sizes = widths(draws)
    known = knowledge(draws, sizes)
    session = call(
        draws,
        _core.open_flow,
        weights=layers(draws, sizes, np.float64),
        loss=loss(draws, sizes, False),
        rtol=1e-3,
        atol=1e-6,
        weight_decay=0.0,
        **known,
    )
    state = None
    for _ in range(draws.below(4)):
        call(draws, _core.start_flow, session, draws.below(3), draws.below(2) / 10, state)
        times = np.sort(np.array([draws.below(20) / 100 for _ in range(draws.below(4))], float))
        arrays = sinks(draws, known["variables"], sizes, np.float64, len(times))
        number = draws.below(3)
        call(draws, _core.advance_flow, session, times, number, arrays, draws.is_odd(3), 0.001)
        call(draws, _core.record_flow, session, sinks(draws, [], sizes, np.float64, 1))
        state = call(draws, _core.flow_state, session)
        for look in ("flow_time", "flow_counts", "imbalance_drift", "views", "step"):
            call(draws, getattr(_core, look), session)


def ensemble(draws: Draws) -> None:
    sizes, single = widths(draws), draws.is_odd(2)
    dtype = np.float32 if single else np.float64
    n = 1 + draws.below(10)
    known = knowledge(draws, sizes)
    kind = methods(draws)
    rule = {
        name: np.full(n, known[name], np.int64 if "stop" not in name else np.float64)
        for name in ("stop_loss", "stop_gradient_norm", "check_every", "has_condition")
    }
    columns = {name: np.zeros(n, np.int64) for name in ("problem", "method", "batch_size")}
    table = {**rule, **columns, "seed": np.zeros(n, np.uint64)}
    if draws.is_odd(3):
        table[draws.one_of(list(table))] = draws.array()
    pair = (loss(draws, sizes, single), loss(draws, sizes, single) if draws.is_odd(4) else None)
    last = sinks(draws, known["variables"], sizes, dtype, n)
    session = call(
        draws,
        _core.open_ensemble,
        starts=[layers(draws, sizes, dtype) for _ in range(n)],
        problems=[([pair], known["ground_truth"], known["held_out"])],
        methods=[kind],
        table=table,
        variables=known["variables"],
        last_step=draws.below(6),
        last=last,
        path=draws.one_of(("by shape", "singles", "lanes")),
    )
    call(draws, _core.set_rates, session, 0, np.full(draws.below(3), 0.1), 0)
    call(draws, _core.start_ensemble, session)
    for _ in range(draws.below(4)):
        steps = np.arange(draws.below(4), dtype=np.int64)
        arrays = sinks(draws, known["variables"], sizes, dtype, n * len(steps))
        call(
            draws, _core.advance_ensemble, session, draws.below(8), steps, arrays, draws.is_odd(3),
            0.001, 1 + draws.below(2),
        )  # fmt: skip
        call(draws, _core.end_member, session, draws.below(n + 2), "interrupted")
        for look in ("waiting_members", "member_steps", "member_status", "failed_member"):
            call(draws, getattr(_core, look), session)
        call(draws, _core.member_views, session, draws.below(n + 1))
