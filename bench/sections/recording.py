"""What recording costs: singular values beside LAPACK's, and the Python API over the bare loop."""

from collections.abc import Callable
from functools import partial

import numpy as np

import pydlnet as dln

from ..backends.pydlnet_run import finished
from ..cases import LEARNING_RATE, Case
from ..report import OWN, Comparison, paragraphs
from ..timing import Plan, Timing, compare, in_turn, say

WIDTHS = (10, 100)
N_RECORDS = 200
LAPACK = "numpy.linalg.svd(compute_uv=False)"
API_STEPS = 100_000


def measure(plan: Plan) -> str:
    """Measure both."""
    comparison = Comparison("d")
    for width in WIDTHS:
        say(f"  singular values, d={width}")
        comparison.add(str(width), _singular_values(Case(width), plan), {})
    say("  Python API")
    return paragraphs(
        f"### Singular values of {N_RECORDS} records\n\nOf pydlnet, what a run that records them "
        "at every step takes longer than one that records the loss; of NumPy, the decompositions "
        "of as many matrices alone. float64, one thread.",
        comparison.render(),
        "### The Python API",
        _api(plan),
    )


def _run(case: Case, record: dln.Record, n_steps: int) -> dln.Trajectory:
    return finished(
        dln.run(
            dln.TargetMatrix(case.target),
            case.start,
            dln.GradientDescent(LEARNING_RATE),
            n_steps=n_steps,
            record=record,
            progress=False,
        )
    )


def check_singular_values(case: Case, n_steps: int = 5) -> None:
    """Raise unless every record agrees with LAPACK."""
    record = dln.Record(["singular_values", "end_to_end"], every=1)
    data = _run(case, record, n_steps).data
    expected = np.linalg.svd(data.end_to_end.values, compute_uv=False)
    error = np.abs(data.singular_value.values - expected).max() / expected.max()
    if not error <= 10 * case.width * np.finfo(np.float64).eps:
        raise AssertionError(f"{case}: singular values off by {error:.3g}")


def _singular_values(case: Case, plan: Plan) -> dict[str, Timing]:
    check_singular_values(case)
    # The matrices of the run itself: how long a decomposition takes depends on the spectrum.
    kept = _run(case, dln.Record("end_to_end", every=1), N_RECORDS - 1)
    stack = kept.data.end_to_end.values
    times, _ = compare(
        {
            "with": partial(_run, case, dln.Record("singular_values", every=1)),
            "without": partial(_run, case, dln.Record("loss", every=1)),
            LAPACK: partial(_lapack, stack),
        },
        plan,
    )
    own = times["with"] - times["without"]
    return {OWN: own * N_RECORDS, LAPACK: times[LAPACK] * N_RECORDS}


def _lapack(stack: np.ndarray, n_matrices: int) -> None:
    rounds, rest = divmod(n_matrices, len(stack))
    for part in [stack] * rounds + [stack[:rest]] * (rest > 0):
        np.linalg.svd(part, compute_uv=False)


def _api(plan: Plan) -> str:
    """Compare a run as a user writes it with the slope of one that records nothing between."""
    case = Case(10)
    n_steps = API_STEPS // 10 if plan.quick else API_STEPS
    bare = dln.Record(steps=[0])
    logged = dln.Record(steps=dln.log_spaced(200, until=n_steps))
    calls: dict[str, Callable[[], object]] = {
        "api": partial(_run, case, logged, n_steps),
        "once": partial(_run, case, bare, n_steps),
        "twice": partial(_run, case, bare, 2 * n_steps),
    }
    times = in_turn(calls, plan.rounds)
    loop = times["twice"] - times["once"]
    over = [
        100 * (one / other - 1)
        for one, other in zip(times["api"].samples, loop.samples, strict=True)
    ]
    spread = Timing(tuple(over))
    low, high = spread.quartiles
    return (
        f"`dln.run` with the loss recorded at 200 log-spaced steps of {n_steps}, d = 10, N = 3, "
        f"float64, takes {1e3 * times['api'].median:.4g} ms; the bare loop, which is what as many "
        f"more steps add to a run that records its ends only, {1e3 * loop.median:.4g} ms. The "
        f"difference is {spread.median:.1f} % (quartiles {low:.1f} to {high:.1f})."
    )
