"""The loop of a flow: `step` is the number of a record there."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import _core
from .blocks import Block
from .flows import GradientFlow
from .keeping import Keeper
from .loop import Loop, Setup
from .progress import Progress
from .schedules import EverySteps
from .times import Times
from .trajectory import State, Trajectory

__all__ = ["FlowLoop"]

STEP_ATTRIBUTES = {"long_name": "number of the record", "units": "1", "reference": "definition"}
TIME_ATTRIBUTES = {"long_name": "time of gradient flow", "units": "1", "reference": "definition"}


class FlowLoop(Loop):
    """A run of gradient flow."""

    def __init__(
        self,
        setup: Setup,
        method: GradientFlow,
        times: Times,
        until: float,
        threads: int,
        keeper: Keeper | None = None,
    ) -> None:
        self._method = method
        self._schedule = times
        self._first_time = setup.state.time[0]
        earlier = setup.earlier
        first = 0 if earlier is None else earlier.step + self._keeps_last(earlier)
        ahead = times.after(self._first_time, until)
        if earlier is None:
            ahead = np.concatenate([[0.0], ahead])
        # Where the run ends is recorded in any case.
        if until > (ahead[-1] if len(ahead) else self._first_time):
            ahead = np.append(ahead, until)
        self._first_number = first
        self._record_times = np.ascontiguousarray(ahead, dtype=np.float64)
        super().__init__(
            setup,
            EverySteps(1),
            first + len(ahead) - 1,
            batches=False,
            threads=threads,
            keeper=keeper,
        )

    def _open(self) -> object:
        method = self._method
        return _core.open_flow(
            **self._core_arguments,
            rtol=method.rtol,
            atol=method.atol,
            weight_decay=method.weight_decay,
        )

    def _start(self) -> None:
        state = self._setup.core.method_state
        with self._naming_step():
            _core.start_flow(self._session, self._first_number, self._first_time, state)

    def _first_row(self) -> int:
        return self._first_number

    def _progress(self, show: bool | None) -> Progress:
        return Progress(self._first_time, self._end, show, unit="time")

    @property
    def _end(self) -> float:
        return float(self._record_times[-1]) if len(self._record_times) else self._first_time

    @property
    def _place(self) -> float:
        return float(_core.flow_time(self._session))

    @property
    def _has_moved(self) -> bool:
        return self._place != self._first_time

    @property
    def _begins_at(self) -> int:
        # Going on, the value is that of no record to come.
        return self._first_number - (self._setup.earlier is not None)

    def _advance_core(self, seconds: float) -> str:
        first = int(self._block.steps[0]) if len(self._block.steps) else self._first_number
        row = first - self._first_number
        return _core.advance_flow(
            self._session,
            self._record_times[row : row + len(self._block.steps)],
            first,
            self._block.core,
            pause_after_record=bool(self._observers),
            seconds=seconds,
        )

    def _end_of_slice(self, step: int) -> str:
        return "finished" if not len(self._record_times) else super()._end_of_slice(step)

    def _record_core(self, block: Block) -> None:
        _core.record_flow(self._session, block.core)

    def _state(self, layers: list[NDArray[Any]]) -> State:
        earlier = self._setup.earlier
        if earlier is not None and self._stood_still:
            return earlier.state
        compression = self._setup.core.compression
        is_at_record = bool(_core.is_recorded(self._session))
        return State(
            self._step - (not is_at_record),
            (self._place, 0.0),
            None,
            _core.flow_state(self._session),
            compression,
            [] if compression is None else layers,
        )

    def _times(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        return times

    def _is_scheduled(self, earlier: Trajectory) -> bool:
        time = earlier.state.time[0]
        schedules = (self._schedule, earlier.record.times)
        return any(times is not None and time in times for times in schedules)

    def _attributes(self) -> dict[str, Any]:
        accepted, rejected, gradients = _core.flow_counts(self._session)
        return {
            "n_accepted": accepted,
            "n_rejected": rejected,
            "n_gradients": gradients,
            "imbalance_drift": _core.imbalance_drift(self._session),
        }

    def _labelled(self, records: Block) -> xr.Dataset:
        data = super()._labelled(records)
        data["step"].attrs = dict(STEP_ATTRIBUTES)
        data["time"].attrs = dict(TIME_ATTRIBUTES)
        return data
