"""One network, one thread against two."""

import inspect
from functools import partial

import pydlnet as dln

from ..cases import LEARNING_RATE, Case
from ..report import Comparison, paragraphs
from ..timing import Plan, compare, say

WIDTHS = (50, 100, 200, 500, 1000)
QUICK_WIDTHS = (50, 200)


def measure(plan: Plan) -> str:
    """Compare them at N = 3, in float64."""
    if "threads" not in inspect.signature(dln.run).parameters:
        return "Left out: `dln.run` has no `threads` yet."
    comparison = Comparison("d", own="two threads")
    for width in QUICK_WIDTHS if plan.quick else WIDTHS:
        say(f"  d={width}")
        runs = {
            label: partial(_run, Case(width), threads)
            for label, threads in (("two threads", 2), ("one thread", 1))
        }
        times, setting_up = compare(runs, plan)
        comparison.add(str(width), times, {}, setting_up["two threads"])
    return paragraphs("Time of one step, float64, N = 3.", comparison.render())


def _run(case: Case, threads: int, n_steps: int) -> None:
    dln.run(
        dln.TargetMatrix(case.target),
        case.start,
        dln.GradientDescent(LEARNING_RATE),
        n_steps=n_steps,
        record=dln.Record(steps=[0]),
        progress=False,
        threads=threads,
    )
