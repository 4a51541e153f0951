"""The loop of a run as Python sees it: slices of the core, and what is done between them.

What all runs share. `step_loop` and `flow_loop` have what moves them.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import _core
from ._version import VERSION
from .blocks import Block, Blocks
from .coordinates import Coordinates
from .exact_algebra import CoreStart, description
from .flows import GradientFlow
from .interruption import noticing_interruption
from .keeping import Keeper, Snapshot
from .methods import Method
from .names import Coords, with_names
from .observers import Observers
from .problems import EndToEndLoss, Problem
from .progress import Progress
from .quantities import dim_sizes
from .recording import Record, Stop
from .schedules import Schedule
from .trajectory import State, Trajectory, append, describe_run, ends_at_record, to_dataset

# How long the core runs before Python looks around: Ctrl-C, time limit, progress.
SECONDS_A_SLICE = 0.05


@dataclass(frozen=True)
class Setup:
    """Checked arguments of a run."""

    problem: Problem
    weights: list[NDArray[Any]]
    widths: tuple[int, ...]
    method: Method | GradientFlow
    record: Record
    stop: Stop
    state: State
    earlier: Trajectory | None  # that the run continues
    core: CoreStart
    names: Coords  # of inputs and outputs


class Loop(ABC):
    """One run: a session of the core, the records so far, and when to end."""

    def __init__(
        self,
        setup: Setup,
        schedule: Schedule,
        last_step: int,
        *,
        batches: bool,
        threads: int,
        keeper: Keeper | None,
    ) -> None:
        self._setup = setup
        self._keeper = keeper
        self._drops_last = setup.earlier is not None and not self._keeps_last(setup.earlier)
        self._last_step = last_step
        self._observers = Observers(setup.record, setup.problem, dim_sizes(setup.widths))
        dtype = setup.weights[0].dtype
        self._coordinates = Coordinates(
            setup.problem,
            setup.core.compression,
            setup.widths,
            dtype,
            batches=batches,
            knows_truth="reconstruction_error" in setup.record.names,
        )
        self._blocks = Blocks(
            setup.record.core_names,
            schedule,
            setup.widths,
            dtype,
            self._observers,
            self._coordinates.core_widths,
            self._coordinates.lift_records,
            None if keeper is None else self._keep,
        )
        self._session = self._open()
        _core.use_threads(self._session, threads)
        self._start()

    @abstractmethod
    def _open(self) -> object:
        """Return a session of the core."""

    @abstractmethod
    def _start(self) -> None:
        """Bring the session to where the run begins."""

    @abstractmethod
    def _advance_core(self, seconds: float) -> str:
        """Run one slice and return its outcome; a block that is full is followed by another."""

    @abstractmethod
    def _record_core(self, block: Block) -> None:
        """Record where the session is into a block of one row."""

    @abstractmethod
    def _first_row(self) -> int:
        """Return the first step that is still to be recorded."""

    @abstractmethod
    def _progress(self, show: bool | None) -> Progress:
        """Return the progress bar."""

    @property
    @abstractmethod
    def _place(self) -> float:
        """Where the run is, in units of its progress."""

    @property
    @abstractmethod
    def _has_moved(self) -> bool:
        """Whether the run has left the place where it begins."""

    @property
    @abstractmethod
    def _begins_at(self) -> int:
        """Number for what is observed before the loop; that of a record, if it is its value."""

    @abstractmethod
    def _state(self, layers: list[NDArray[Any]]) -> State:
        """Return what the run goes on from; the core's layers are given."""

    @abstractmethod
    def _times(self, times: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the times of the records, if they have a meaning."""

    @abstractmethod
    def _is_scheduled(self, earlier: Trajectory) -> bool:
        """Say whether the last record of an earlier trajectory is on a schedule."""

    def _keeps_last(self, earlier: Trajectory) -> bool:
        """Say whether the last record of an earlier trajectory stays when the run goes on."""
        return not ends_at_record(earlier) or self._is_scheduled(earlier)

    @property
    def _stood_still(self) -> bool:
        """Whether an earlier trajectory was not continued at all."""
        earlier = self._setup.earlier
        return earlier is not None and not self._has_moved and ends_at_record(earlier)

    @property
    def _end(self) -> float:
        """The step, or the time of a flow, at which the run ends if nothing ends it before."""
        return self._last_step

    def _attributes(self) -> dict[str, Any]:
        """Return attributes of the data that other runs do not have."""
        return {}

    def _status_at_record(self, status: str) -> str:
        """Return the status of a run whose last step has just been recorded."""
        return status

    @property
    def _core_arguments(self) -> dict[str, Any]:
        """Arguments that every session is opened with."""
        setup, stop, coordinates = self._setup, self._setup.stop, self._coordinates
        return {
            "weights": setup.core.layers,
            "loss": coordinates.losses.full,
            "stop_loss": -np.inf if stop.loss is None else coordinates.core_bound(stop.loss),
            "stop_gradient_norm": -1.0 if stop.gradient_norm is None else stop.gradient_norm,
            "check_every": stop.check_every,
            "has_condition": stop.condition is not None,
            "variables": list(self._blocks.variables),
            "ground_truth": coordinates.ground_truth,
            "held_out": setup.problem.held_out,
        }

    def _observed(self) -> list[NDArray[Any]]:
        """Return the full layers if a quantity of the user's looks at them."""
        return self._coordinates.views(self._session) if self._observers else []

    @property
    def _step(self) -> int:
        return int(_core.step(self._session))

    def execute(self, show_progress: bool | None) -> Trajectory:
        """Run, and return what came of it."""
        began = time.monotonic()
        with (
            noticing_interruption() as interruption,
            self._progress(show_progress) as progress,
        ):
            self._begin_records()
            status = ""
            while not status:
                status = self._advance(self._seconds_left(began))
                progress.show(self._place)
                if interruption:
                    status = status or "interrupted"
                if self._seconds_left(began) <= 0.0:
                    status = status or "time_limit"
                if not status and self._keeper is not None and self._keeper.is_due():
                    self._commit(self._keeper, time.monotonic() - began)
            status = self._complete_records(status)
            # Inside, as the interpreter waits for what is counted there before it goes away.
            return self._result(status, time.monotonic() - began)

    def _begin_records(self) -> None:
        earlier = self._setup.earlier
        self._observers.begin(self._begins_at, self._observed())
        if earlier is not None:
            self._observers.check_against(earlier.data)
        if self._keeper is not None:
            self._keeper.begin(self._labelled(self._blocks.empty()))
        self._block = self._blocks.next_block(self._first_row(), self._last_step)

    def _keep(self, rows: Block) -> None:
        """Hand records over to the keeper."""
        assert self._keeper is not None
        self._drop_unscheduled(self._keeper)
        self._keeper.append(self._labelled(rows))

    def _drop_unscheduled(self, keeper: Keeper) -> None:
        """Forget the last record of the earlier trajectory, if the run has gone on from it."""
        if self._drops_last and not self._stood_still:
            keeper.drop_last()
            self._drops_last = False

    def _commit(self, keeper: Keeper, seconds: float) -> None:
        self._blocks.hand_over(self._block, self._n_recorded())
        self._drop_unscheduled(keeper)
        keeper.commit(self._snapshot("running", seconds))

    def _n_recorded(self) -> int:
        """Return how many rows of the block are filled."""
        side: Literal["left", "right"] = "right" if _core.is_recorded(self._session) else "left"
        return int(np.searchsorted(self._block.steps, self._step, side=side))

    def _seconds_left(self, began: float) -> float:
        limit = self._setup.stop.seconds
        return float("inf") if limit is None else limit - (time.monotonic() - began)

    def _advance(self, seconds_left: float) -> str:
        """Run one slice and serve what it came back for; return a status if the run is over."""
        with self._naming_step():
            outcome = self._advance_core(min(SECONDS_A_SLICE, max(seconds_left, 0.0)))
        step = self._step
        if outcome == "recorded":
            row = int(np.searchsorted(self._block.steps, step))
            self._observers.fill(self._block.users, row, step, self._observed())
        if outcome == "check":
            return "converged" if self._condition_holds(step) else ""
        if outcome == "reached":
            return self._end_of_slice(step)
        return str(outcome) if outcome in ("converged", "diverged", "step_too_small") else ""

    def _end_of_slice(self, step: int) -> str:
        if step == self._last_step:
            return "finished"
        if step == self._block_end():
            self._blocks.finish(self._block)
            self._block = self._blocks.next_block(step + 1, self._last_step)
        return ""

    def _block_end(self) -> int:
        """Return the step up to which the block has room."""
        if len(self._block.steps) == 0:
            return self._last_step
        return self._blocks.end_of(self._block, self._last_step)

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
        n_rows = self._n_recorded()
        block = self._block.rows(0, n_rows)
        if recorded and not _core.is_finite(self._session):
            if self._keeper is not None:  # the others first: with a NaN among them they are floats
                self._blocks.hand_over(block, n_rows - 1)
            self._observers.fill_missing(block.users, n_rows - 1)
        self._blocks.finish(block)
        if recorded or self._stood_still:
            return status
        return self._record_single(step, status)

    def _record_single(self, step: int, status: str) -> str:
        block = self._blocks.single(step)
        with self._naming_step():
            self._record_core(block)
        if _core.is_finite(self._session):
            self._observers.fill(block.users, 0, step, self._observed())
            status = self._status_at_record(status)
        else:
            self._observers.fill_missing(block.users, 0)
            status = "diverged"
        self._blocks.finish(block)
        return status

    def _result(self, status: str, seconds: float) -> Trajectory:
        snapshot = self._snapshot(status, seconds)
        if self._keeper is not None:
            self._drop_unscheduled(self._keeper)
            return self._keeper.finish(snapshot)
        setup, earlier = self._setup, self._setup.earlier
        data = with_names(self._dataset(), setup.names)
        data.attrs = snapshot.attributes
        # Where nothing was added the data is what the earlier record asked for.
        record = earlier.record if earlier is not None and self._stood_still else setup.record
        return Trajectory(
            data, snapshot.weights, status, setup.method, record, snapshot.state, setup.problem
        )

    def _snapshot(self, status: str, seconds: float) -> Snapshot:
        setup = self._setup
        layers = _core.weights(self._session)
        compression = setup.core.compression
        state = self._state(layers)
        earlier = setup.earlier
        before = 0.0 if earlier is None else float(earlier.data.attrs.get("wall_seconds", 0.0))
        attributes = describe_run(
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
            **self._attributes(),
        )
        return Snapshot(attributes, self._coordinates.weights(layers), state, status, self._end)

    def _labelled(self, records: Block) -> xr.Dataset:
        """Return records as a dataset."""
        core = dict(records.core)
        times = self._times(core.pop("time"))
        variables = {**self._blocks.variables, **self._observers.variables}
        return to_dataset(records.steps, times, {**core, **records.users}, variables)

    def _dataset(self) -> xr.Dataset:
        news = self._labelled(self._blocks.collect())
        earlier = self._setup.earlier
        if earlier is None:
            return news
        if self._stood_still:
            return earlier.data.copy()
        kept = earlier.data.isel(step=slice(None, -1)) if self._drops_last else earlier.data
        return append(kept, news)
