"""The bare fused pass: products and gradients of a chain of layers, one call each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._validation import as_matrix, as_real, as_weights, widths_of
from .curvature import hessian_product
from .problems import Problem

__all__ = ["gradients", "hessian_product", "product", "step", "value_and_gradients"]


def product(weights: Sequence[ArrayLike]) -> NDArray[Any]:
    """Multiply the layers into the end-to-end matrix W_N ... W_1.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers, the first one acting first; all float64 or all float32.

    Returns
    -------
    ndarray, shape (d_N, d_0)
        In the dtype of the layers.

    Raises
    ------
    ValueError, TypeError
        If the layers are not finite matrices of one dtype whose shapes follow one another.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> dln.chain.product([np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])])
    array([[3., 6.],
           [4., 8.]])
    """
    matrix: NDArray[Any] = _core.chain_product(as_weights(weights))
    return matrix


def gradients(weights: Sequence[ArrayLike], end_to_end_gradient: ArrayLike) -> list[NDArray[Any]]:
    """Pull a gradient in the end-to-end matrix back to every layer.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32.
    end_to_end_gradient : array_like, shape (d_N, d_0)
        G, the gradient of a loss in the end-to-end matrix.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        (W_N ... W_{j+1})^T G (W_{j-1} ... W_1)^T for each layer, in the dtype of the layers.

    Raises
    ------
    ValueError, TypeError
        If the layers or the gradient are not finite or do not fit together.

    Examples
    --------
    >>> import pydlnet as dln
    >>> weights = [[[2.0]], [[3.0]]]
    >>> dln.chain.gradients(weights, [[1.0]])
    [array([[3.]]), array([[2.]])]
    """
    layers = as_weights(weights)
    shape = (layers[-1].shape[0], layers[0].shape[1])
    gradient = as_matrix(end_to_end_gradient, "end_to_end_gradient", shape=shape)
    result: list[NDArray[Any]] = _core.chain_gradients(
        layers, np.ascontiguousarray(gradient, dtype=layers[0].dtype)
    )
    return result


def value_and_gradients(
    weights: Sequence[ArrayLike], problem: Problem
) -> tuple[float, list[NDArray[Any]]]:
    """Evaluate the loss and its gradient in every layer.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32.
    problem : Problem
        What is minimised.

    Returns
    -------
    value : float
        The loss on the full data.
    gradients : list of ndarray, shape (d_j, d_{j-1})
        In the dtype of the layers.

    Raises
    ------
    ValueError, TypeError
        If the layers do not form a finite chain, or do not fit the problem.

    Examples
    --------
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix([[5.0]])
    >>> dln.chain.value_and_gradients([[[2.0]], [[3.0]]], problem)
    (0.5, [array([[3.]]), array([[2.]])])
    """
    layers, loss = _prepare(weights, problem)
    value, result = _core.chain_value_and_gradients(layers, loss)
    return float(value), result


def step(
    weights: Sequence[ArrayLike], problem: Problem, learning_rate: float
) -> list[NDArray[Any]]:
    """Take one step of gradient descent in all layers at once.

    Parameters
    ----------
    weights : sequence of array_like, shape (d_j, d_{j-1})
        The layers; all float64 or all float32. Not modified.
    problem : Problem
        What is minimised.
    learning_rate : float
        Finite and at least 0.

    Returns
    -------
    list of ndarray, shape (d_j, d_{j-1})
        The new layers.

    Raises
    ------
    ValueError, TypeError
        If the layers do not form a finite chain, or do not fit the problem, or the rate is
        negative or not finite.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.chain.step([[[2.0]], [[3.0]]], dln.TargetMatrix([[5.0]]), learning_rate=0.5)
    [array([[0.5]]), array([[2.]])]
    """
    rate = as_real(learning_rate, "learning_rate", minimum=0.0)
    layers, loss = _prepare(weights, problem)
    result: list[NDArray[Any]] = _core.chain_step(layers, loss, rate)
    return result


def _prepare(weights: Sequence[ArrayLike], problem: Problem) -> tuple[list[NDArray[Any]], object]:
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a pydlnet problem, got {type(problem).__name__}")
    layers = as_weights(weights)
    problem.check_shape(widths_of(layers))
    return layers, problem.core_loss(layers[0].dtype, layers[-1].shape[0])
