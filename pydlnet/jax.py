"""The loss of a chain of layers and its derivatives inside JAX programs; needs the extra ``jax``.

Lists of layers are pytrees as they are. The core is called back from the program that XLA compiles,
and reads and writes XLA's own memory (`jax.experimental.buffer_callback`, on XLA's foreign-function
interface). Programs on other devices than the CPU copy to and from it (`jax.pure_callback`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import jax
    import jax.numpy as jnp
    from jax.experimental.buffer_callback import buffer_callback
except ModuleNotFoundError as error:
    raise ImportError('pydlnet.jax needs JAX: pip install "pydlnet[jax]"', name="jax") from error

from . import _core
from .chain import hessian_product
from .problems import Problem

__all__ = ["chain_value", "chain_value_and_gradients"]

Layers = tuple[jax.Array, ...]


def chain_value_and_gradients(
    weights: Sequence[jax.typing.ArrayLike], problem: Problem
) -> tuple[jax.Array, Sequence[jax.Array]]:
    """Evaluate the loss and its gradient in every layer, as `pydlnet.chain` does.

    Parameters
    ----------
    weights : list or tuple of array_like, shape (d_j, d_{j-1})
        The layers; all float32, or all float64 (which needs ``jax_enable_x64``).
    problem : Problem
        What is minimised; a constant of the program.

    Returns
    -------
    value : jax.Array, shape ()
        The loss on the full data, in the dtype of the layers.
    gradients : list or tuple of jax.Array, shape (d_j, d_{j-1})
        As `weights`.

    Raises
    ------
    ValueError, TypeError
        If the layers do not form a chain of one dtype or do not fit the problem.

    Notes
    -----
    Works under `jax.jit`, `jax.vmap` (one call back for the whole batch) and `jax.lax` loops.
    Numbers that are not finite give results that are not. The derivative is that of
    `chain_value`, with `pydlnet.chain.hessian_product` for the gradients.

    What XLA compiles itself is as fast, and `pydlnet.run` is faster: this is for what needs both
    JAX and a problem of this package.

    Examples
    --------
    >>> import jax
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix([[1.0, 0.0], [0.0, 2.0]])
    >>> weights = dln.init.identity((2, 2, 2), dtype="float32")
    >>> value, gradients = jax.jit(lambda w: dln.jax.chain_value_and_gradients(w, problem))(weights)
    >>> float(value), gradients[0].tolist()
    (0.5, [[0.0, 0.0], [0.0, -1.0]])
    """
    layers = _checked(weights, problem)
    value, gradients = _value_and_gradients(problem, layers)
    return value, list(gradients) if isinstance(weights, list) else gradients


def chain_value(weights: Sequence[jax.typing.ArrayLike], problem: Problem) -> jax.Array:
    """Evaluate the loss, in a way that JAX can differentiate.

    Parameters
    ----------
    weights : list or tuple of array_like, shape (d_j, d_{j-1})
        The layers; all float32, or all float64 (which needs ``jax_enable_x64``).
    problem : Problem
        What is minimised; a constant of the program.

    Returns
    -------
    jax.Array, shape ()
        The loss on the full data, in the dtype of the layers.

    Raises
    ------
    ValueError, TypeError
        As `chain_value_and_gradients`; where a second derivative is asked for, as
        `pydlnet.chain.hessian_product`.

    Notes
    -----
    `jax.grad` and `jax.value_and_grad` take one pass of the core, `jax.jvp` of a gradient and
    `jax.hessian` the core's products with the Hessian, which are exact, and in float64 inside.
    There are no third derivatives.

    Examples
    --------
    >>> import jax
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix([[1.0, 0.0], [0.0, 2.0]])
    >>> weights = dln.init.identity((2, 2, 2), dtype="float32")
    >>> jax.grad(dln.jax.chain_value)(weights, problem)[0].tolist()
    [[0.0, 0.0], [0.0, -1.0]]
    """
    return _value(problem, _checked(weights, problem))


def _checked(weights: Any, problem: Problem) -> Layers:
    if not isinstance(problem, Problem):
        raise TypeError(f"problem: expected a pydlnet problem, got {type(problem).__name__}")
    if not isinstance(weights, list | tuple):
        raise TypeError(f"weights: expected a list of matrices, got {type(weights).__name__}")
    if not weights:
        raise ValueError("weights: expected at least one layer, got none")
    layers = tuple(jnp.asarray(layer) for layer in weights)
    for i, layer in enumerate(layers):
        _check_layer(layer, layers[max(i - 1, 0)], i)
    problem.check_shape((layers[0].shape[1], *(layer.shape[0] for layer in layers)))
    return layers


def _check_layer(layer: jax.Array, before: jax.Array, i: int) -> None:
    name = f"weights[{i}]"
    if layer.ndim != 2 or layer.size == 0:
        raise ValueError(f"{name}: expected a matrix, got shape {layer.shape}")
    if layer.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"{name}: expected float32 or float64, got {layer.dtype}")
    if layer.dtype != before.dtype:
        raise TypeError(f"{name}: expected {before.dtype} like weights[{i - 1}], got {layer.dtype}")
    if i > 0 and layer.shape[1] != before.shape[0]:
        raise ValueError(
            f"{name}: expected shape ({layer.shape[0]}, {before.shape[0]}) "
            f"to follow weights[{i - 1}], got {layer.shape}"
        )


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(problem: Problem, layers: Layers) -> jax.Array:
    return _value_and_gradients(problem, layers)[0]


@_value.defjvp
def _value_jvp(
    problem: Problem, primals: tuple[Layers], tangents: tuple[Layers]
) -> tuple[jax.Array, jax.Array]:
    value, gradients = _value_and_gradients(problem, *primals)
    return value, _inner(gradients, *tangents)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_gradients(problem: Problem, layers: Layers) -> tuple[jax.Array, Layers]:
    shapes = (_struct((), layers[0].dtype), *_shapes(layers))
    value, *gradients = _call(partial(_evaluate, problem), shapes, layers)
    return value, tuple(gradients)


@_value_and_gradients.defjvp
def _value_and_gradients_jvp(
    problem: Problem, primals: tuple[Layers], tangents: tuple[Layers]
) -> tuple[tuple[jax.Array, Layers], tuple[jax.Array, Layers]]:
    value, gradients = _value_and_gradients(problem, *primals)
    changes = _hessian_product(problem, *primals, *tangents)
    return (value, gradients), (_inner(gradients, *tangents), changes)


def _hessian_product(problem: Problem, layers: Layers, directions: Layers) -> Layers:
    problem.check_curvature()
    return tuple(_call(partial(_multiply, problem), _shapes(layers), (*layers, *directions)))


def _inner(first: Layers, second: Layers) -> jax.Array:
    return sum(map(jnp.vdot, first, second), start=jnp.zeros((), first[0].dtype))


def _shapes(layers: Layers) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(_struct(layer.shape, layer.dtype) for layer in layers)


def _struct(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _call(
    function: Callable[..., list[NDArray[Any]]],
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    matrices: Layers,
) -> list[jax.Array]:
    """Call back a function of matrices, which is called once for each member of a batch."""

    def fill(_context: Any, results: Sequence[Any], *arrays: Any) -> None:
        stacks = [np.asarray(array) for array in arrays]
        targets = [np.asarray(result) for result in results]
        for member in np.ndindex(stacks[0].shape[:-2]):
            values = function([np.ascontiguousarray(stack[member]) for stack in stacks])
            for target, value in zip(targets, values, strict=True):
                target[member] = value

    def copied(*arrays: jax.Array) -> tuple[NDArray[Any], ...]:
        batch = arrays[0].shape[:-2]
        results = tuple(np.empty(batch + shape.shape, shape.dtype) for shape in shapes)
        fill(None, results, *arrays)
        return results

    # On the CPU `pure_callback` would wait for copies that XLA's threads make, as many as there are
    # processors. Programs that run there at the same time may occupy them all and wait for the
    # copies for ever: JAX's issues 24255 and 25861.
    method = "broadcast_all"
    return list(
        jax.lax.platform_dependent(
            *matrices,
            cpu=buffer_callback(fill, shapes, vmap_method=method),
            default=partial(jax.pure_callback, copied, shapes, vmap_method=method),
        )
    )


# What is called back must not raise, so layers that are not finite go where they lead.


def _evaluate(problem: Problem, layers: list[NDArray[Any]]) -> list[Any]:
    loss = problem.core_loss(layers[0].dtype, layers[-1].shape[0])
    value, gradients = _core.chain_value_and_gradients(layers, loss)
    return [value, *gradients]


def _multiply(problem: Problem, matrices: list[NDArray[Any]]) -> list[Any]:
    layers, directions = matrices[: len(matrices) // 2], matrices[len(matrices) // 2 :]
    if not all(np.isfinite(matrix).all() for matrix in matrices):
        return [np.full(layer.shape, np.nan) for layer in layers]
    return list(hessian_product(layers, problem, directions))
