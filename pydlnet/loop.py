"""The loop of a run as Python sees it: slices of the core, and what is done between them."""

import importlib.metadata
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import _core
from .blocks import Block, Blocks
from .coordinates import Coordinates
from .exact_algebra import CoreStart, description
from .interruption import noticing_interruption
from .methods import Method
from .observers import Observers
from .problems import EndToEndLoss, Problem
from .progress import Progress
from .quantities import dim_sizes
from .rates import Rates
from .recording import Record, Stop
from .trajectory import State, Trajectory, append, describe_run, to_dataset

# How long the core runs before Python looks around: Ctrl-C, time limit, progress.
SECONDS_A_SLICE = 0.05

VERSION = importlib.metadata.version("pydlnet")


@dataclass(frozen=True)
class Setup:
    """Checked arguments of a run."""

    problem: Problem
    weights: list[NDArray[Any]]
    widths: tuple[int, ...]
    method: Method
    record: Record
    stop: Stop
    state: State
    earlier: Trajectory | None  # that the run continues
    core: CoreStart


class Loop:
    """One run: a session of the core, the records so far, and when to end."""

    def __init__(self, setup: Setup, n_steps: int, threads: int) -> None:
        self._setup = setup
        self._first_step = setup.state.step
        self._last_step = setup.state.step + n_steps
        self._observers = Observers(setup.record, setup.problem, dim_sizes(setup.widths))
        dtype = setup.weights[0].dtype
        self._coordinates = Coordinates(
            setup.problem,
            setup.core.compression,
            setup.widths,
            dtype,
            batches=setup.method.batch_size is not None,
            knows_truth="reconstruction_error" in setup.record.names,
        )
        self._blocks = Blocks(
            setup.record,
            setup.widths,
            dtype,
            self._observers,
            self._coordinates.core_widths,
            self._coordinates.lift_records,
        )
        self._rates = Rates(
            setup.method, self._last_step, recorded="learning_rate" in setup.record.names
        )
        self._session = self._open()
        _core.use_threads(self._session, threads)

    def _open(self) -> object:
        setup, method, stop = self._setup, self._setup.method, self._setup.stop
        problem, coordinates = setup.problem, self._coordinates
        kind, numbers = method.core_spec()
        session = _core.open_descent(
            weights=setup.core.layers,
            loss=coordinates.losses.full,
            batch_loss=coordinates.losses.batch,
            batch_size=min(method.batch_size or 0, problem.n_samples or 0),
            seed=setup.state.seed or 0,
            method=kind,
            settings=numbers,
            stop_loss=-np.inf if stop.loss is None else coordinates.core_bound(stop.loss),
            stop_gradient_norm=-1.0 if stop.gradient_norm is None else stop.gradient_norm,
            check_every=stop.check_every,
            has_condition=stop.condition is not None,
            variables=list(self._blocks.variables),
            ground_truth=coordinates.ground_truth,
            held_out=problem.held_out,
        )
        _core.start(session, setup.state.step, setup.state.time, setup.core.method_state)
        return session

    def _observed(self) -> list[NDArray[Any]]:
        """Return the full layers if a quantity of the user's looks at them."""
        return self._coordinates.views(self._session) if self._observers else []

    @property
    def _step(self) -> int:
        return int(_core.step(self._session))

    @property
    def _stood_still(self) -> bool:
        """Whether an earlier trajectory was continued by no step."""
        return self._setup.earlier is not None and self._step == self._first_step

    def execute(self, show_progress: bool | None) -> Trajectory:
        """Take the steps and return what came of them."""
        began = time.monotonic()
        with (
            noticing_interruption() as interruption,
            Progress(self._first_step, self._last_step, show_progress) as progress,
        ):
            self._begin_records()
            status = ""
            while not status:
                status = self._advance(self._seconds_left(began))
                progress.show(self._step)
                if interruption:
                    status = status or "interrupted"
                if self._seconds_left(began) <= 0.0:
                    status = status or "time_limit"
            status = self._complete_records(status)
            # Inside, as the interpreter waits for what is counted there before it goes away.
            return self._result(status, time.monotonic() - began)

    def _begin_records(self) -> None:
        earlier = self._setup.earlier
        self._observers.begin(self._first_step, self._observed())
        if earlier is not None:
            self._observers.check_against(earlier.data)
        # What an earlier run has recorded at its last step stands.
        self._block = self._next_block(0 if earlier is None else self._first_step + 1)

    def _next_block(self, first: int) -> Block:
        return self._blocks.next_block(first, self._last_step)

    def _seconds_left(self, began: float) -> float:
        limit = self._setup.stop.seconds
        return float("inf") if limit is None else limit - (time.monotonic() - began)

    def _advance(self, seconds_left: float) -> str:
        """Run one slice and serve what it came back for; return a status if the run is over."""
        block_end = self._block_end()
        rates, first_rate, until = self._rates.ahead(self._step, block_end)
        with self._naming_step():
            outcome = _core.advance(
                self._session,
                until,
                rates,
                first_rate,
                self._block.steps,
                self._block.core,
                pause_after_record=bool(self._observers),
                seconds=min(SECONDS_A_SLICE, max(seconds_left, 0.0)),
            )
        step = self._step
        if outcome == "recorded":
            row = int(np.searchsorted(self._block.steps, step))
            self._observers.fill(self._block.users, row, step, self._observed())
        if outcome == "check":
            return "converged" if self._condition_holds(step) else ""
        if outcome == "reached":
            if step == self._last_step:
                return "finished"
            if step == block_end:
                self._blocks.finish(self._block)
                self._block = self._next_block(step + 1)
        return str(outcome) if outcome in ("converged", "diverged") else ""

    def _block_end(self) -> int:
        """Return the step up to which the block has room."""
        if len(self._block.steps) == 0:
            return self._last_step
        following = self._setup.record.schedule.steps_between(
            int(self._block.steps[-1]) + 1, self._last_step, limit=1
        )
        return int(self._block.steps[-1]) if len(following) else self._last_step

    @contextmanager
    def _naming_step(self) -> Iterator[None]:
        """Say at which step a loss of the user's raised."""
        try:
            yield
        except Exception as error:
            if isinstance(self._setup.problem, EndToEndLoss):
                error.add_note(f"raised by the loss at step {self._step}")
            raise

    def _condition_holds(self, step: int) -> bool:
        condition = self._setup.stop.condition
        try:
            return condition is not None and bool(condition(self._coordinates.views(self._session)))
        except Exception as error:
            error.add_note(f"raised by the condition of stop at step {step}")
            raise

    def _complete_records(self, status: str) -> str:
        """Record the last step if that is still to be done; it may turn out to have diverged."""
        step = self._step
        recorded = bool(_core.is_recorded(self._session))
        n_rows = int(np.searchsorted(self._block.steps, step, side="right" if recorded else "left"))
        block = self._block.first_rows(n_rows)
        if recorded and not _core.is_finite(self._session):
            self._observers.fill_missing(block.users, n_rows - 1)
        self._blocks.finish(block)
        if recorded or self._stood_still:
            return status
        return self._record_single(step, status)

    def _record_single(self, step: int, status: str) -> str:
        rates, first_rate, _ = self._rates.ahead(step, step)
        block = self._blocks.single(step)
        row = min(step - first_rate, len(rates) - 1)
        with self._naming_step():
            _core.record(self._session, block.core, rates[row] if len(rates) else 0.0)
        if _core.is_finite(self._session):
            self._observers.fill(block.users, 0, step, self._observed())
            status = self._status_at_record(status)
        else:
            self._observers.fill_missing(block.users, 0)
            status = "diverged"
        self._blocks.finish(block)
        return status

    def _status_at_record(self, status: str) -> str:
        """Return "converged" if a mini-batch run meets its bound, which is seen only now."""
        bound = self._setup.stop.loss
        if status != "finished" or bound is None:
            return status
        return (
            "converged"
            if _core.loss(self._session) <= self._coordinates.core_bound(bound)
            else status
        )

    def _result(self, status: str, seconds: float) -> Trajectory:
        setup = self._setup
        layers = _core.weights(self._session)
        compression = setup.core.compression
        state = State(
            self._step,
            _core.time(self._session),
            setup.state.seed,
            _core.state(self._session),
            compression,
            [] if compression is None else layers,
        )
        data = self._dataset()
        earlier = setup.earlier
        before = 0.0 if earlier is None else float(earlier.data.attrs.get("wall_seconds", 0.0))
        data.attrs = describe_run(
            setup.problem.describe(),
            setup.method,
            setup.widths,
            seed="none" if state.seed is None else state.seed,
            dtype=str(setup.weights[0].dtype),
            version=VERSION,
            instruction_set=_core.ISA,
            exact_algebra=description(
                setup.problem,
                compression,
                depth=len(setup.weights),
                sparse=_core.is_sparse(self._session),
                meeting_layer=_core.meeting_layer(self._session),
            ),
            status=status,
            wall_seconds=before + seconds,
        )
        weights = self._coordinates.weights(layers)
        # Where nothing was added the data is what the earlier record asked for.
        record = earlier.record if earlier is not None and self._stood_still else setup.record
        return Trajectory(data, weights, status, setup.method, record, state, setup.problem)

    def _dataset(self) -> xr.Dataset:
        records = self._blocks.collect()
        times = records.core.pop("time")
        news = to_dataset(
            records.steps,
            times if self._setup.method.has_time else None,
            {**records.core, **records.users},
            {**self._blocks.variables, **self._observers.variables},
        )
        earlier = self._setup.earlier
        if earlier is None:
            return news
        if self._stood_still:
            return earlier.data.copy()
        schedules = (earlier.record.schedule, self._setup.record.schedule)
        stands = any(earlier.step in schedule for schedule in schedules)
        kept = earlier.data if stands else earlier.data.isel(step=slice(None, -1))
        return append(kept, news)
