"""The learning rates of a run, handed to the core a piece at a time."""

import numpy as np

from ._validation import FloatArray
from .methods import Method

# Rates of an array or a function are looked up this many steps ahead.
STEPS_AHEAD = 4096


class Rates:
    """Feeds the core with the rates of the steps up to `last_step`.

    Parameters
    ----------
    method : Method
        Whose learning rate it is.
    last_step : int
        Absolute step at which the run ends.
    recorded : bool
        Whether the rates are recorded. Then the one of the step that a slice ends at is looked up
        as well, where there is one.
    """

    def __init__(self, method: Method, last_step: int, recorded: bool) -> None:
        self._method = method
        self._last_step = last_step
        self._recorded = recorded
        self._first = 0
        self._values: FloatArray = np.empty(0)
        self._usable_until = -1
        rate = method.learning_rate
        if not callable(rate) and not isinstance(rate, np.ndarray):
            # The core repeats the last rate it has.
            self._values = np.array([rate], dtype=np.float64)
            self._usable_until = last_step

    def ahead(self, step: int, until: int) -> tuple[FloatArray, int, int]:
        """Return rates, the step of the first of them, and how far the core can run on them."""
        if self._usable_until < self._last_step and step >= self._usable_until:
            self._look_up(step)
        return self._values, self._first, min(until, self._usable_until)

    def _look_up(self, step: int) -> None:
        count = min(STEPS_AHEAD, self._last_step - step)
        reaches_end = step + count == self._last_step
        values = self._with_final(step, count) if reaches_end else self._method.rates(step, count)
        self._first, self._values = step, values
        end = step + len(values)
        if reaches_end and len(values) >= count:
            self._usable_until = self._last_step
        elif len(values) < count:  # the function fails at `end`, and will again when asked for it
            self._usable_until = end
        else:  # so that the rate of the step that the slice ends at is known
            self._usable_until = end - 1

    def _with_final(self, step: int, count: int) -> FloatArray:
        """Return the last rates, and if recorded that of the final step, which is never taken."""
        if self._recorded:
            try:
                return self._method.rates(step, count + 1)
            except Exception:  # there is none: the last rate counts as still in force
                if count == 0:
                    return self._method.rates(step - 1, 1) if step > 0 else np.zeros(1)
        return self._method.rates(step, count)
