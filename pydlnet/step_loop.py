"""The loop of a run that takes steps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .blocks import Block
from .keeping import Keeper
from .loop import Loop, Setup
from .methods import Method
from .progress import Progress
from .rates import Rates
from .trajectory import State, Trajectory, ends_at_record

__all__ = ["StepLoop"]


class StepLoop(Loop):
    """A run of a method that takes steps."""

    def __init__(
        self,
        setup: Setup,
        method: Method,
        n_steps: int,
        threads: int,
        keeper: Keeper | None = None,
    ) -> None:
        self._method = method
        self._first_step = setup.state.step
        last_step = setup.state.step + n_steps
        recorded = "learning_rate" in setup.record.names
        self._rates = Rates(method, last_step, recorded=recorded)
        batches = method.batch_size is not None
        super().__init__(
            setup,
            setup.record.schedule,
            last_step,
            batches=batches,
            threads=threads,
            keeper=keeper,
        )

    def _open(self) -> object:
        kind, numbers = self._method.core_spec()
        return _core.open_descent(
            **self._core_arguments,
            batch_loss=self._coordinates.losses.batch,
            batch_size=min(self._method.batch_size or 0, self._setup.problem.n_samples or 0),
            seed=self._setup.state.seed or 0,
            method=kind,
            settings=numbers,
        )

    def _start(self) -> None:
        state = self._setup.state
        _core.start(self._session, state.step, state.time, self._setup.core.method_state)

    def _first_row(self) -> int:
        # What an earlier run has recorded at its last step stands.
        earlier = self._setup.earlier
        return self._first_step + (earlier is not None and ends_at_record(earlier))

    def _progress(self, show: bool | None) -> Progress:
        return Progress(self._first_step, self._last_step, show)

    @property
    def _place(self) -> float:
        return self._step

    @property
    def _has_moved(self) -> bool:
        return self._step != self._first_step

    @property
    def _begins_at(self) -> int:
        return self._first_step

    def _advance_core(self, seconds: float) -> str:
        rates, first_rate, until = self._rates.ahead(self._step, self._block_end())
        return _core.advance(
            self._session,
            until,
            rates,
            first_rate,
            self._block.steps,
            self._block.core,
            pause_after_record=bool(self._observers),
            seconds=seconds,
        )

    def _record_core(self, block: Block) -> None:
        step = self._step
        rates, first_rate, _ = self._rates.ahead(step, step)
        row = min(step - first_rate, len(rates) - 1)
        _core.record(self._session, block.core, rates[row] if len(rates) else 0.0)

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

    def _state(self, layers: list[NDArray[Any]]) -> State:
        compression = self._setup.core.compression
        return State(
            self._step,
            _core.time(self._session),
            self._setup.state.seed,
            _core.state(self._session),
            compression,
            [] if compression is None else layers,
        )

    def _times(self, times: NDArray[np.float64]) -> NDArray[np.float64] | None:
        return times if self._method.has_time else None

    def _is_scheduled(self, earlier: Trajectory) -> bool:
        schedules = (earlier.record.schedule, self._setup.record.schedule)
        return any(earlier.step in schedule for schedule in schedules)
