"""What all problems share: shapes, description, and the way to the core's loss."""

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _core
from .._display import as_table, brief
from .._validation import FloatArray, IndexArray, as_choice, as_dtype, as_matrix, freeze
from ..names import SIDES, Coords, as_coords, shown

HeldOut = tuple[IndexArray, IndexArray, FloatArray]


class Problem(ABC):
    """A loss of the end-to-end matrix.

    Attributes are read-only, arrays included. Use one of the classes derived from this one.

    Attributes
    ----------
    shape : tuple of int
        (d_N, d_0), the shape of the end-to-end matrix.
    n_samples : int or None
        Number of samples, entries or measurements that mini-batches are drawn from; None if
        there is nothing to draw from.
    ground_truth : ndarray of float64, shape (d_N, d_0), or None
        The matrix that `reconstruction_error` compares with.
    held_out : tuple of ndarray (rows, columns, values), or None
        The entries that `held_out_error` compares with.
    coords : dict of str to ndarray
        Names of the outputs and inputs that have some, under "output" and "input": those of a
        DataFrame or DataArray that the problem was made of, classes, ids of users and items. They
        are the coordinates of what a run records. No number depends on them, and `describe` leaves
        them out: a problem with names continues what one without has begun.

    Examples
    --------
    >>> import numpy as np
    >>> import pydlnet as dln
    >>> problem = dln.TargetMatrix(np.eye(2))
    >>> isinstance(problem, dln.problems.Problem), problem.shape
    (True, (2, 2))
    >>> problem.value_and_gradient(np.zeros((2, 2)))
    (1.0, array([[-1.,  0.],
           [ 0., -1.]]))
    """

    shape: tuple[int, int]
    n_samples: int | None = None
    ground_truth: FloatArray | None = None
    held_out: HeldOut | None = None
    _coords: ClassVar[Coords] = {}

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a problem does not change."""
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __repr__(self) -> str:
        """Show kind, shape and sizes, no data."""
        parts = [f"{key}={brief(value)}" for key, value in self._details().items()]
        return f"{type(self).__name__}({', '.join([f'shape={self.shape}', *parts])})"

    def _repr_html_(self) -> str:
        """Show the same as a table, and what recorded errors compare with."""
        known = "yes" if self.ground_truth is not None else "no"
        facts = {"shape": f"{self.shape[0]} x {self.shape[1]}", **self._details()}
        facts.update({f"{side}s": shown(names) for side, names in self._coords.items()})
        return as_table(type(self).__name__, [*facts.items(), ("ground truth", known)])

    def _set(self, **attributes: Any) -> None:
        for value in attributes.values():
            if isinstance(value, np.ndarray):
                freeze(value)
        self.__dict__.update(attributes)

    @property
    def coords(self) -> Coords:
        """Names of the outputs and inputs that have some."""
        return dict(self._coords)

    def assign_coords(self, **coords: ArrayLike | None) -> Self:
        """Return the same problem with other names of its outputs or inputs.

        Parameters
        ----------
        **coords : array_like, shape (d_N,) or (d_0,), or None
            `output` and `input`: different names of any kind. Text, integers, floats, bools and
            times stay what they are; others, and those of several kinds, become text, the parts of
            a tuple with commas between them. None takes the names away.

        Returns
        -------
        Problem
            It shares its data with this one.

        Raises
        ------
        ValueError, TypeError
            If there is another number of names than of outputs or inputs, if one is missing or is
            there twice, or if text has a NUL or a part that UTF-8 cannot hold.

        Examples
        --------
        >>> import pydlnet as dln
        >>> problem = dln.TargetMatrix([[3.0, 0.0], [0.0, 1.0]]).assign_coords(input=["age", "bmi"])
        >>> start = dln.init.balanced((2, 2, 2), scale=0.1, rng=0)
        >>> method, record = dln.GradientDescent(0.1), dln.Record("end_to_end")
        >>> trajectory = dln.run(problem, start, method, n_steps=100, record=record)
        >>> trajectory.data.end_to_end.sel(input="age").isel(step=-1).values.round(3) + 0.0
        array([3., 0.])
        """
        names = {**self._coords, **as_coords(coords, self.shape)}
        twin = copy.copy(self)
        kept = {side: names[side] for side in SIDES if names.get(side) is not None}
        twin._set(_coords=kept)
        return twin

    def names_at(self, n_outputs: int) -> Coords:
        """Return `coords` for a network with so many outputs.

        Parameters
        ----------
        n_outputs : int
            d_N of the network, which need not be that of `shape`.

        Returns
        -------
        dict of str to ndarray
            As `coords`.
        """
        return self.coords

    @property
    def exact_algebra(self) -> str:
        """What replaces the data without changing the loss, or "none"."""
        return "none"

    def check_shape(self, widths: Sequence[int], name: str = "weights") -> None:
        """Raise unless a network of these widths fits the problem.

        Parameters
        ----------
        widths : sequence of int
            (d_0, ..., d_N).
        name : str, default "weights"
            What the message calls the network.

        Raises
        ------
        ValueError
            If (d_N, d_0) is not a shape that the problem accepts.
        """
        self._check_end_to_end((widths[-1], widths[0]), name)

    def check_curvature(self) -> None:  # noqa: B027
        """Raise ValueError unless the loss has a second derivative everywhere, and it is known."""

    def _check_end_to_end(self, shape: tuple[int, ...], name: str) -> None:
        accepted = self._accepted_shapes()
        if shape not in accepted:
            expected = " or ".join(map(str, accepted))
            raise ValueError(
                f"{name}: expected an end-to-end matrix of shape {expected} "
                f"for {type(self).__name__}, got {shape}"
            )

    def value_and_gradient(self, end_to_end: ArrayLike) -> tuple[float, FloatArray]:
        """Return the loss of an end-to-end matrix and its gradient, in float64.

        Parameters
        ----------
        end_to_end : array_like, shape (d_N, d_0)
            Finite real numbers.

        Returns
        -------
        value : float
            The loss on the full data.
        gradient : ndarray of float64, shape (d_N, d_0)
            Its derivative in each entry.

        Raises
        ------
        ValueError, TypeError
            If the matrix does not fit the problem.
        """
        matrix = as_matrix(end_to_end, "end_to_end")
        self._check_end_to_end(matrix.shape, "end_to_end")
        loss = self.core_loss(np.float64, matrix.shape[0])
        value, gradients = _core.chain_value_and_gradients([matrix], loss)
        return float(value), gradients[0]

    def core_loss(self, dtype: DTypeLike, n_outputs: int) -> object:
        """Return the core's loss on the full data, rounded once to the dtype of the run.

        Parameters
        ----------
        dtype : dtype_like
            float32 or float64.
        n_outputs : int
            d_N of the network.

        Returns
        -------
        object
            Opaque; the core takes it.

        Raises
        ------
        ValueError
            If the data leaves the range of `dtype`.
        """
        return self._full_loss(self._is_single(dtype), n_outputs)

    def core_batch_loss(self, dtype: DTypeLike, n_outputs: int) -> object:
        """Return the core's loss on raw samples, from which it draws mini-batches.

        Parameters
        ----------
        dtype : dtype_like
            float32 or float64.
        n_outputs : int
            d_N of the network.

        Returns
        -------
        object
            Opaque; the core takes it.

        Raises
        ------
        ValueError
            If there are no samples, or the data leaves the range of `dtype`.
        """
        if self.n_samples is None:
            raise ValueError(
                f"batch_size: expected None, as {type(self).__name__} has no samples to draw from"
            )
        return self._sample_loss(self._is_single(dtype), n_outputs)

    def describe(self) -> dict[str, Any]:
        """Return kind, shape, sizes, parameters and a digest of the data, ready for JSON.

        Returns
        -------
        dict
            Equal for equal problems, whatever the names of their outputs and inputs. `digest` is a
            SHA-256 of all arrays.
        """
        return {
            "kind": type(self).__name__,
            "shape": list(self.shape),
            **self._details(),
            "digest": self._digest,
        }

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, array in self._arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(array.data)
        return digest.hexdigest()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = dict(self._data())
        if self.ground_truth is not None:
            arrays["ground_truth"] = self.ground_truth
        if self.held_out is not None:
            parts = zip(("rows", "columns", "values"), self.held_out, strict=True)
            arrays.update({f"held_out {name}": array for name, array in parts})
        return arrays

    def _is_single(self, dtype: DTypeLike) -> bool:
        single = as_dtype(dtype) == np.float32
        if single:
            for name, array in self._data().items():
                check_single_range(array, name)
        return single

    def _accepted_shapes(self) -> tuple[tuple[int, int], ...]:
        return (self.shape,)

    def _details(self) -> dict[str, Any]:
        """Return sizes and parameters for `describe`, ready for JSON."""
        return {}

    @abstractmethod
    def _data(self) -> Mapping[str, NDArray[Any]]:
        """Return by public name the arrays that the loss is made of."""

    @abstractmethod
    def _full_loss(self, single: bool, n_outputs: int) -> object: ...

    def _sample_loss(self, single: bool, n_outputs: int) -> object:
        """Return the loss on raw samples; most problems have no other form of it."""
        return self._full_loss(single, n_outputs)


def as_reduction(reduction: Any) -> str:
    """Return "mean" or "sum"."""
    return as_choice(reduction, "reduction", ("mean", "sum"))


def as_ground_truth(ground_truth: ArrayLike | None, shape: tuple[int, int]) -> FloatArray | None:
    """Return the matrix to compare with, or None."""
    return None if ground_truth is None else as_matrix(ground_truth, "ground_truth", shape=shape)


def check_single_range(array: NDArray[Any], name: str) -> None:
    """Raise ValueError if a number becomes infinite in float32."""
    if array.dtype != np.float64:
        return
    largest = float(np.max(np.abs(array)))
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"{name}: expected numbers in the range of float32 for float32 weights, got {largest}"
        )
