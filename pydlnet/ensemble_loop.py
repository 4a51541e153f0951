"""The loop of an ensemble as Python sees it: slices of the core, and what is done between them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import IndexArray
from .ensemble_arguments import EnsembleSetup
from .ensemble_records import Arrays, EnsembleRecords
from .interruption import Interruption
from .loop import SECONDS_A_SLICE
from .methods import Method
from .observers import Observers
from .problems import EndToEndLoss, Problem
from .progress import Progress
from .quantities import Variable, dim_sizes
from .rates import Rates
from .recording import Stop


@dataclass(frozen=True)
class Outcome:
    """What came of an ensemble."""

    steps: IndexArray
    arrays: Arrays  # (run, step, ...)
    variables: dict[str, Variable]
    weights: list[list[NDArray[Any]]]
    status: tuple[str, ...]
    last_steps: IndexArray


class EnsembleLoop:
    """One ensemble: a session of the core, the records so far, and when to end which member.

    All members go to a common step, the horizon, before any goes beyond it: where the block of
    records or the rates that are known end.
    """

    def __init__(self, setup: EnsembleSetup) -> None:
        self._setup = setup
        self._dtype = setup.starts[0][0].dtype
        self._records = EnsembleRecords(setup.record, setup.widths, self._dtype, setup.n_members)
        recorded = "learning_rate" in setup.record.names
        self._rates = {
            place: Rates(method, setup.n_steps, recorded)
            for place, method in enumerate(setup.methods.distinct)
            if not _is_constant(method)
        }
        self._limits = np.array([_limit(stop) for stop in setup.stops.distinct])[setup.stops.places]
        self._session = self._open()
        self._observers: list[Observers] = []

    def _open(self) -> object:
        setup = self._setup
        pairs = np.stack([setup.problems.places, self._batched.astype(np.int64)])
        different, places = np.unique(pairs, axis=1, return_inverse=True)
        users = np.bincount(places.ravel())
        problems = [
            self._core_problem(setup.problems.distinct[place], bool(batched), int(count))
            for place, batched, count in zip(*different, users, strict=True)
        ]
        return _core.open_ensemble(
            starts=setup.starts,
            problems=problems,
            methods=[method.core_spec() for method in setup.methods.distinct],
            table=self._table(np.ascontiguousarray(places.ravel(), dtype=np.int64)),
            variables=list(self._records.variables),
            last_step=setup.n_steps,
            last=self._records.last,
        )

    @cached_property
    def _batched(self) -> NDArray[np.bool_]:
        """Whether each member takes mini-batches."""
        methods = self._setup.methods
        return np.array([m.batch_size is not None for m in methods.distinct])[methods.places]

    def _core_problem(
        self, problem: Problem, batched: bool, n_users: int
    ) -> tuple[list[tuple[object, object | None]], object, object]:
        """Return losses for every thread that may need them at once, and what else is known."""
        n_outputs = self._setup.widths[-1]
        losses = [
            (
                problem.core_loss(self._dtype, n_outputs),
                problem.core_batch_loss(self._dtype, n_outputs) if batched else None,
            )
            for _ in range(min(n_users, self._setup.n_threads))
        ]
        return losses, problem.ground_truth, problem.held_out

    def _table(self, problem_places: IndexArray) -> dict[str, NDArray[Any]]:
        setup = self._setup
        seeds = setup.seeds
        return {
            "problem": problem_places,
            "method": setup.methods.places,
            "batch_size": self._batch_sizes(),
            "seed": np.zeros(setup.n_members, np.uint64) if seeds is None else seeds,
            **{name: column[setup.stops.places] for name, column in self._stop_columns().items()},
        }

    def _batch_sizes(self) -> IndexArray:
        setup = self._setup
        wanted = np.array([m.batch_size or 0 for m in setup.methods.distinct], np.int64)
        there = np.array([p.n_samples or 0 for p in setup.problems.distinct], np.int64)
        return np.minimum(wanted[setup.methods.places], there[setup.problems.places])

    def _stop_columns(self) -> dict[str, NDArray[Any]]:
        stops = self._setup.stops.distinct
        return {
            "stop_loss": np.array([-np.inf if s.loss is None else s.loss for s in stops]),
            "stop_gradient_norm": np.array(
                [-1.0 if s.gradient_norm is None else s.gradient_norm for s in stops]
            ),
            "check_every": np.array([s.check_every for s in stops], np.int64),
            "has_condition": np.array([s.condition is not None for s in stops], np.int64),
        }

    def execute(self, show_progress: bool | None, interruption: Interruption) -> Outcome:
        """Take the steps and return what came of them."""
        began = time.monotonic()
        n_all_steps = self._setup.n_members * self._setup.n_steps
        with Progress(0, n_all_steps, show_progress) as progress:
            self._begin()
            while not (ended := _core.members_ended(self._session)).all():
                self._advance(ended, time.monotonic() - began)
                progress.show(self._n_steps_done())
                if interruption:
                    self._end_members(np.inf, "interrupted")
                self._end_members(time.monotonic() - began, "time_limit")
        return self._complete()

    def _begin(self) -> None:
        setup = self._setup
        for k in range(setup.n_members):
            observers = Observers(setup.record, setup.problems[k], dim_sizes(setup.widths))
            if not observers:
                break
            with _naming_run(k):
                observers.begin(0, _core.member_views(self._session, k))
            self._observers.append(observers)
        if self._observers:
            self._records.add_users(self._examples())
        for place, method in enumerate(setup.methods.distinct):
            if _is_constant(method):
                _core.set_rates(self._session, place, np.array([method.learning_rate]), 0)
        _core.start_ensemble(self._session)
        self._block = self._records.next_block(0, setup.n_steps)
        self._at = 0
        self._look_ahead()

    def _examples(self) -> dict[str, NDArray[Any]]:
        """Return a value of each of the user's quantities, of one shape for all members."""
        examples = [observers.allocate(1) for observers in self._observers]
        for name, first in examples[0].items():
            for k, others in enumerate(examples):
                if others[name].shape != first.shape:
                    raise ValueError(
                        f"quantity {name!r}: expected shape {first.shape[1:]} as for run 0, got "
                        f"{others[name].shape[1:]} for run {k}"
                    )
        return {
            name: np.empty(first.shape[1:], np.result_type(*(e[name] for e in examples)))
            for name, first in examples[0].items()
        }

    def _look_ahead(self) -> None:
        """Set the horizon, and hand the core the rates up to it."""
        self._horizon = self._block_end()
        for place, rates in self._rates.items():
            values, first, self._horizon = rates.ahead(self._at, self._horizon)
            _core.set_rates(self._session, place, values, first)

    def _block_end(self) -> int:
        """Return the step up to which the block has room."""
        steps, last = self._block.steps, self._setup.n_steps
        if len(steps) == 0:
            return last
        following = self._setup.record.schedule.steps_between(int(steps[-1]) + 1, last, limit=1)
        return int(steps[-1]) if len(following) else last

    def _advance(self, ended: NDArray[np.bool_], elapsed: float) -> None:
        """Run one slice and serve what it came back for."""
        seconds_left = float(self._limits[~ended].min()) - elapsed
        with self._naming_failure():
            all_there = _core.advance_ensemble(
                self._session,
                self._horizon,
                self._block.steps,
                self._block.core,
                pause_after_record=bool(self._observers),
                seconds=min(SECONDS_A_SLICE, max(seconds_left, 0.0)),
                threads=self._setup.n_threads,
            )
        for k, outcome in _core.waiting_members(self._session):
            self._serve(k, outcome)
        if all_there and self._horizon < self._setup.n_steps:
            self._move_on()

    def _serve(self, k: int, outcome: str) -> None:
        step = int(_core.member_steps(self._session)[k])
        views = _core.member_views(self._session, k)
        if outcome == "recorded":
            row = int(np.searchsorted(self._block.steps, step))
            users = {name: array[k] for name, array in self._block.users.items()}
            with _naming_run(k):
                self._observers[k].fill(users, row, step, views)
        elif self._condition_holds(k, step, views):
            self._end(k, "converged")

    def _condition_holds(self, k: int, step: int, views: list[NDArray[Any]]) -> bool:
        condition = self._setup.stops[k].condition
        try:
            return condition is not None and bool(condition(views))
        except Exception as error:
            error.add_note(f"raised by the condition of stop for run {k} at step {step}")
            raise

    def _move_on(self) -> None:
        """Go on from the horizon, in a new block if this one is full."""
        self._at = self._horizon
        if self._at == self._block_end():
            self._records.finish(self._block)
            self._block = self._records.next_block(self._at + 1, self._setup.n_steps)
        self._look_ahead()

    def _end_members(self, elapsed: float, why: str) -> None:
        """End every member whose time is over."""
        over = (self._limits <= elapsed) & ~_core.members_ended(self._session)
        for k in np.flatnonzero(over):
            self._end(int(k), why)

    def _end(self, k: int, why: str) -> None:
        try:
            _core.end_member(self._session, k, why)
        except Exception as error:
            self._note_loss(error, k)
            raise

    @contextmanager
    def _naming_failure(self) -> Iterator[None]:
        """Say for which run and at which step a loss of the user's raised."""
        try:
            yield
        except Exception as error:
            k = _core.failed_member(self._session)
            if k < self._setup.n_members:
                self._note_loss(error, k)
            raise

    def _note_loss(self, error: Exception, k: int) -> None:
        """Add where the loss raised; what fails beside a loss of ours is none of it."""
        if not isinstance(self._setup.problems[k], EndToEndLoss):
            return
        step = _core.member_steps(self._session)[k]
        error.add_note(f"raised by the loss of run {k} at step {step}")

    def _n_steps_done(self) -> int:
        steps = np.where(
            _core.members_ended(self._session),
            self._setup.n_steps,
            _core.member_steps(self._session),
        )
        return int(steps.sum())

    def _complete(self) -> Outcome:
        self._records.finish(self._block)
        last_steps = _core.member_steps(self._session)
        off_schedule = _core.members_ended_off_schedule(self._session)
        status = tuple(_core.member_status(self._session))
        if self._observers:
            for k in np.flatnonzero(off_schedule & (np.array(status) != "diverged")):
                self._fill_last(int(k), int(last_steps[k]))
        steps, arrays = self._records.collect(last_steps, off_schedule)
        users = self._observers[0].variables if self._observers else {}
        members = range(self._setup.n_members)
        return Outcome(
            steps,
            arrays,
            {**self._records.variables, **users},
            [_core.member_weights(self._session, k) for k in members],
            status,
            last_steps,
        )

    def _fill_last(self, k: int, step: int) -> None:
        users = {name: array[k : k + 1] for name, array in self._records.users_last.items()}
        with _naming_run(k):
            self._observers[k].fill(users, 0, step, _core.member_views(self._session, k))


def _is_constant(method: Method) -> bool:
    """Whether the core, which repeats the last rate it has, needs only one."""
    return isinstance(method.learning_rate, float)


def _limit(stop: Stop) -> float:
    return np.inf if stop.seconds is None else stop.seconds


@contextmanager
def _naming_run(k: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"for run {k}")
        raise
