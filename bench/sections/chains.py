"""Structured targets: what exact compression saves, its one-off cost included."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

import pydlnet as dln

from ..backends.pydlnet_run import finished
from ..cases import Layers
from ..oracle import reference
from ..report import Comparison, paragraphs
from ..timing import Plan, in_turn, say, seconds_of

N_STEPS = 10_000
# Learning rate times sharpness stays far below 2 for targets of norm 1.
LEARNING_RATE = 1e-2
# End-to-end matrices of a run and its compressed one, relative.
TOLERANCE = 1e-11
LONG_RUN = 10.0


@dataclass(frozen=True)
class Chain:
    """A target of low rank and a network with a bottleneck."""

    widths: tuple[int, ...]
    rank: int

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))}, rank {self.rank}"

    @cached_property
    def start(self) -> Layers:
        """The layers; not to be written to."""
        return dln.init.gaussian(self.widths, end_to_end_scale=0.1, rng=0)

    @cached_property
    def problem(self) -> dln.TargetMatrix:
        """The target, its singular values falling from 1 to 1/2."""
        rng = np.random.default_rng(1)
        left, right = (
            np.linalg.qr(rng.standard_normal((width, self.rank)))[0]
            for width in (self.widths[-1], self.widths[0])
        )
        return dln.TargetMatrix(left * np.linspace(1.0, 0.5, self.rank) @ right.T)

    def run(self, exact_compression: bool, n_steps: int = N_STEPS) -> Layers:
        """Take the steps with or without it."""
        return finished(
            dln.run(
                self.problem,
                self.start,
                dln.GradientDescent(LEARNING_RATE),
                n_steps=n_steps,
                record=dln.Record(steps=[0]),
                progress=False,
                exact_compression=exact_compression,
            )
        ).weights


CASES = (Chain((100, 10, 10, 100), 5), Chain((1000, 50, 50, 1000), 10))
QUICK = Chain((60, 5, 5, 60), 3)


def is_available() -> bool:
    """Return whether this pydlnet can turn compression off."""
    return "exact_compression" in inspect.signature(dln.run).parameters


def check_agreement(case: Chain) -> None:
    """Raise unless both follow the definition to the same end-to-end matrix."""
    n_steps = 20
    expected = reference.product(
        reference.descend(
            reference.gradient_descent,
            case.start,
            lambda end_to_end: reference.target_loss(end_to_end, case.problem.target),
            [LEARNING_RATE] * n_steps,
        )[-1]
    )
    for compression in (True, False):
        got = reference.product(case.run(compression, n_steps))
        error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
        if not error <= TOLERANCE:
            raise AssertionError(f"{case}, exact_compression={compression}: off by {error:.3g}")


def measure(plan: Plan) -> str:
    """Time whole runs."""
    if not is_available():
        return "Left out: `dln.run` has no `exact_compression` yet."
    comparison = Comparison("case", unit="ms", own="compressed")
    for case in (QUICK,) if plan.quick else CASES:
        say(f"  {case}")
        check_agreement(case)
        calls: dict[str, Callable[[], object]] = {
            "compressed": partial(case.run, True),
            "exact_compression=False": partial(case.run, False),
        }
        some = N_STEPS // 100
        a_run = 100 * seconds_of(partial(case.run, False, some))
        comparison.add(str(case), in_turn(calls, 1 if a_run > LONG_RUN else plan.rounds), {})
    return paragraphs(
        f"Time of a whole run of {N_STEPS} steps of gradient descent on ½‖W - Φ‖² with Φ of low "
        "rank, float64, one thread, setting up and the one-off decompositions included.",
        comparison.render(),
    )
