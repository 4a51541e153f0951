"""A loss written by the user."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import as_real, as_shape, function_name
from .base import Problem, as_ground_truth

LossFunction = Callable[[NDArray[Any]], tuple[float, ArrayLike]]


class EndToEndLoss(Problem):
    """A function of the end-to-end matrix that returns its value and its gradient.

    Parameters
    ----------
    function : callable
        `function(W) -> (value, gradient)`. W has shape (d_N, d_0) and the dtype of the run; it
        belongs to the function, which may change or keep it. The value is a real number, the
        gradient real numbers of W's shape. Neither need be finite: a run ends as diverged then.
        The loss counts as NaN where the gradient is not finite.
    shape : tuple of int
        (d_N, d_0).
    ground_truth : array_like, shape (d_N, d_0), optional
        Matrix that `reconstruction_error` compares with.

    Raises
    ------
    ValueError, TypeError
        If `function` cannot be called or the shape is not one of a matrix. What the function
        returns is checked at every call.

    Notes
    -----
    The function is identified by its module and qualified name only: two problems with
    functions of the same name have the same description.

    Examples
    --------
    >>> import numpy as np
    >>> problem = EndToEndLoss(lambda W: (0.5 * np.sum(W**2), W), (2, 3))
    >>> problem.shape
    (2, 3)
    """

    function: LossFunction

    def __init__(
        self,
        function: LossFunction,
        shape: tuple[int, int],
        *,
        ground_truth: ArrayLike | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function: expected a callable, got {type(function).__name__}")
        size = as_shape(shape)
        self._set(function=function, shape=size, ground_truth=as_ground_truth(ground_truth, size))

    def _data(self) -> dict[str, NDArray[Any]]:
        return {}

    def _details(self) -> dict[str, Any]:
        return {"function": function_name(self.function)}

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        return _core.python_loss(self._evaluate, *self.shape, single)

    def _evaluate(self, end_to_end: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Call the function and check what it returns."""
        shape, dtype = end_to_end.shape, end_to_end.dtype
        result = self.function(end_to_end)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                f"function: expected a pair (value, gradient), got {type(result).__name__}"
            )
        value = as_real(result[0], "function: value", finite=False)
        gradient = np.asarray(result[1])
        if gradient.dtype.kind not in "iuf":
            raise TypeError(f"function: expected a real gradient, got dtype {gradient.dtype}")
        if gradient.shape != shape:
            raise ValueError(
                f"function: expected a gradient of shape {shape}, got {gradient.shape}"
            )
        with np.errstate(over="ignore"):
            rounded = np.ascontiguousarray(gradient, dtype=dtype)
        # A run looks at the value only, and would step to weights that are not finite.
        return value if np.isfinite(rounded).all() else math.nan, rounded
