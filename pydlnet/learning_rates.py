"""Learning rates: a number, an array with one entry a step, or a function of the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_array, as_real, freeze, function_name

__all__ = ["LearningRate", "UnsavedFunction"]

LearningRate = float | ArrayLike | Callable[[int], float]


@dataclass(frozen=True, eq=False)
class UnsavedFunction:
    """Stand-in for a learning-rate function that a saved result knows by name only.

    It equals the function of that name and cannot be called.

    Parameters
    ----------
    name : str
        "module.qualname" of the function.

    Examples
    --------
    >>> from pydlnet.methods import UnsavedFunction
    >>> UnsavedFunction("schedules.warm_up").name
    'schedules.warm_up'
    """

    name: str

    def __call__(self, step: int) -> float:
        """Raise ValueError: the function itself is needed."""
        raise ValueError(
            f"method: expected the method again, as its learning_rate {self.name} is a function, "
            "and functions are not saved"
        )

    def __eq__(self, other: object) -> bool:
        """Compare by name."""
        if isinstance(other, UnsavedFunction):
            return self.name == other.name
        return callable(other) and self.name == function_name(other)

    __hash__ = None  # type: ignore[assignment]  # it would have to be the function's


def as_learning_rate(rate: Any) -> float | FloatArray | Callable[[int], float]:
    """Return a checked number, a read-only copy of an array, or the function itself."""
    if callable(rate):
        function: Callable[[int], float] = rate
        return function
    if getattr(rate, "ndim", 0) == 0 and not isinstance(rate, list | tuple):
        return as_real(rate, "learning_rate", minimum=0.0)
    rates = as_array(rate, "learning_rate", 1)
    if (rates < 0.0).any():
        step = int(np.argmax(rates < 0.0))
        raise ValueError(f"learning_rate[{step}]: expected a number >= 0, got {rates[step]}")
    return freeze(rates)


def call_rates(function: Callable[[int], float], first: int, count: int) -> FloatArray:
    """Return the rates up to the first step at which the function fails; raise if it is `first`."""
    rates = []
    for step in range(first, first + count):
        try:
            rates.append(_call_rate(function, step))
        except Exception as error:
            if step > first:
                break
            error.add_note(f"raised by learning_rate at step {step}")
            raise
    return np.array(rates, dtype=np.float64)


def _call_rate(function: Callable[[int], float], step: int) -> float:
    rate = function(step)
    try:
        return as_real(rate, f"learning_rate at step {step}", minimum=0.0)
    except TypeError as error:
        raise ValueError(str(error)) from None
