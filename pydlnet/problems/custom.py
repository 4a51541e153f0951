"""A loss written by the user."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._arrays import as_numpy
from .._validation import as_real, as_shape, function_name
from ..tables import names_of
from .base import Problem, as_ground_truth

LossFunction = Callable[[NDArray[Any]], tuple[float, ArrayLike]]
HessianProduct = Callable[[NDArray[Any], NDArray[Any]], ArrayLike]


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
    hessian_product : callable, optional
        `hessian_product(W, V) -> ndarray`: the derivative of the gradient at W in the direction V,
        of the shape of both. Needed for curvature only, and called with float64. Should be
        symmetric: <U, hessian_product(W, V)> = <V, hessian_product(W, U)>.
    ground_truth : array_like, shape (d_N, d_0), optional
        Matrix that `reconstruction_error` compares with.

    Raises
    ------
    ValueError, TypeError
        If a function cannot be called or the shape is not one of a matrix. What they return is
        checked at every call.

    Notes
    -----
    The function is identified by its module and qualified name only: two problems with
    functions of the same name have the same description.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.EndToEndLoss(lambda W: (0.5 * np.sum(W**2), W), (2, 3))
    >>> problem.shape
    (2, 3)
    """

    function: LossFunction
    hessian_product: HessianProduct | None

    def __init__(
        self,
        function: LossFunction,
        shape: tuple[int, int],
        hessian_product: HessianProduct | None = None,
        *,
        ground_truth: ArrayLike | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function: expected a callable, got {type(function).__name__}")
        if hessian_product is not None and not callable(hessian_product):
            raise TypeError(
                "hessian_product: expected a callable or None, "
                f"got {type(hessian_product).__name__}"
            )
        size = as_shape(shape)
        self._set(
            function=function,
            hessian_product=hessian_product,
            shape=size,
            ground_truth=as_ground_truth(ground_truth, size),
            _coords=names_of(ground_truth=(ground_truth, ("output", "input"))),
        )

    def check_curvature(self) -> None:
        """Raise ValueError unless `hessian_product` was given."""
        if self.hessian_product is None:
            raise ValueError(
                "problem: expected an EndToEndLoss with hessian_product= for curvature, "
                "got one without"
            )

    def _data(self) -> dict[str, NDArray[Any]]:
        return {}

    def _details(self) -> dict[str, Any]:
        return {"function": function_name(self.function)}

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        second = None if self.hessian_product is None else self._evaluate_second
        return _core.python_loss(self._evaluate, second, *self.shape, single)

    def _evaluate(self, end_to_end: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Call the function and check what it returns."""
        shape, dtype = end_to_end.shape, end_to_end.dtype
        result = self.function(end_to_end)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                f"function: expected a pair (value, gradient), got {type(result).__name__}"
            )
        value = as_real(result[0], "function: value", finite=False)
        rounded = _as_answer(result[1], "function: gradient", shape, dtype)
        # A run looks at the value only, and would step to weights that are not finite.
        return value if np.isfinite(rounded).all() else math.nan, rounded

    def _evaluate_second(self, end_to_end: NDArray[Any], direction: NDArray[Any]) -> NDArray[Any]:
        """Call the second derivative and check what it returns."""
        assert self.hessian_product is not None
        shape, dtype = end_to_end.shape, end_to_end.dtype
        result = self.hessian_product(end_to_end, direction)
        return _as_answer(result, "hessian_product: result", shape, dtype)


def _as_answer(
    answer: ArrayLike, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return what a function of the user's gave as an array in the dtype of the run."""
    function, what = name.split(": ")
    array = as_numpy(answer, name)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{function}: expected a real {what}, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{function}: expected a {what} of shape {shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=dtype)
