"""Interleaved rounds: everything compared is measured in turn, again and again, in one process.

Only ratios within one such run mean anything: the clock drifts and the machine may be shared.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

Run = Callable[[int], object]  # takes so many steps, and returns when they are done

# A round that takes longer than this many seconds is repeated less often.
LONG_ROUND = 8.0
FEWEST_STEPS = 4


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    seconds: float = 0.07  # what one contender gets in a round
    rounds: int = 7
    quick: bool = False

    def rounds_for(self, seconds: float) -> int:
        """Return how many rounds of this length to take."""
        return self.rounds if seconds < LONG_ROUND else min(3, self.rounds)


QUICK = Plan(seconds=0.02, rounds=3, quick=True)


@dataclass(frozen=True)
class Timing:
    """What the rounds gave, in seconds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of the rounds."""
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    def __sub__(self, other: "Timing") -> "Timing":
        """Subtract what was measured in the same round."""
        return Timing(tuple(a - b for a, b in zip(self.samples, other.samples, strict=True)))

    def __mul__(self, factor: float) -> "Timing":
        return Timing(tuple(factor * sample for sample in self.samples))


def say(*words: object) -> None:
    """Report progress, apart from the results."""
    print(*words, file=sys.stderr, flush=True)


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Return the seconds of every call; the order changes from round to round."""
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        shift = i % len(names)
        for name in names[shift:] + names[:shift]:
            samples[name].append(seconds_of(calls[name]))
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def compare(runs: Mapping[str, Run], plan: Plan) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Return the seconds a step of every contender, and those of a run of no steps.

    The latter are taken off the former, round by round: setting up is no part of a step.
    """
    steps, expected = {}, 0.0
    for name, run in runs.items():
        # Where setting up takes long, the steps have to take longer to be seen beside it.
        once = _setting_up(run)
        wanted = max(plan.seconds, 2 * once)
        a_step = _estimate(run, once, wanted)
        steps[name] = max(FEWEST_STEPS, round(wanted / a_step))
        expected += steps[name] * a_step + 2 * once
        run(steps[name])  # may compile something
    calls: dict[str, Callable[[], object]] = {}
    for name, run in runs.items():
        calls[f"{name}: all"] = partial(run, steps[name])
        calls[f"{name}: none"] = partial(run, 0)
    times = in_turn(calls, plan.rounds_for(expected))
    setting_up = {name: times[f"{name}: none"] for name in runs}
    taken = {
        name: (times[f"{name}: all"] - setting_up[name]) * (1.0 / steps[name]) for name in runs
    }
    return taken, setting_up


def _setting_up(run: Run) -> float:
    run(0)  # loads and touches what it needs
    return seconds_of(partial(run, 0))


def _estimate(run: Run, once: float, wanted: float) -> float:
    """Return about how many seconds a step takes, from runs that fill half of those wanted."""
    n_steps = 1
    while True:
        run(n_steps)  # may compile something
        elapsed = seconds_of(partial(run, n_steps)) - once
        if elapsed > 0.5 * wanted:
            return elapsed / n_steps
        n_steps *= round(min(100.0, max(2.0, wanted / max(elapsed, 1e-9))))
