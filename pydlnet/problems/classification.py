"""Classification: the cross-entropy of labels of any kind."""

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._arrays import as_numpy
from .._validation import FloatArray, IndexArray, as_matrix
from ..names import Coords, as_names, is_missing, of_objects
from ..tables import names_of
from .base import Problem, as_reduction


class Classification(Problem):
    """The mean over samples of the cross-entropy of softmax(W x) against the labels.

    Parameters
    ----------
    inputs : array_like, shape (n_samples, d_0)
        One sample a row, finite real numbers; copied to float64. Columns of a DataFrame or
        coordinates of a DataArray name the inputs: see `coords`, in which the classes name the
        outputs.
    labels : array_like, shape (n_samples,)
        Labels of any kind: numbers, strings, booleans, a pandas Categorical. Two classes at
        least, none missing.
    reduction : {"mean", "sum"}, default "mean"
        Mean or sum over samples.

    Attributes
    ----------
    classes : tuple
        The label of each output, in order: sorted; a Categorical's own order; the order of
        first appearance if the labels cannot be sorted.
    labels : ndarray of int64, shape (n_samples,)
        Index of each sample's label in `classes`.

    Raises
    ------
    ValueError, TypeError
        If data is empty, not finite or does not match; if a label is missing; if there is only
        one class.

    Notes
    -----
    A network with as many outputs as classes minimises softmax cross-entropy. With two classes
    it may also have a single output z, the log-odds of the second class: the loss is then
    log(1 + exp(-z)) for the second class and log(1 + exp(z)) for the first.

    Examples
    --------
    >>> import pydlnet as dln
    >>> dln.Classification([[0.0], [1.0], [2.0]], ["b", "a", "b"]).classes
    ('a', 'b')
    """

    inputs: FloatArray
    labels: IndexArray
    classes: tuple[Any, ...]
    reduction: str
    n_samples: int

    def __init__(self, inputs: ArrayLike, labels: Any, *, reduction: str = "mean") -> None:
        samples = as_matrix(inputs, "inputs")
        classes, codes = _encode(labels, samples.shape[0])
        if len(classes) < 2:
            raise ValueError(f"labels: expected at least two classes, got only {classes[0]!r}")
        self._set(
            inputs=samples,
            labels=codes,
            classes=classes,
            reduction=as_reduction(reduction),
            shape=(len(classes), samples.shape[1]),
            n_samples=samples.shape[0],
            _coords={
                "output": as_names(of_objects(classes), "output", "labels"),
                **names_of(inputs=(inputs, ("sample", "input")), labels=(labels, ("sample",))),
            },
        )

    def names_at(self, n_outputs: int) -> Coords:
        """Return `coords`; a single output is the log-odds of the second class, and named so."""
        names = self.coords
        if n_outputs < self.shape[0] and "output" in names:
            names["output"] = names["output"][1:]
        return names

    def _accepted_shapes(self) -> tuple[tuple[int, int], ...]:
        return (self.shape, (1, self.shape[1])) if len(self.classes) == 2 else (self.shape,)

    def _data(self) -> dict[str, NDArray[Any]]:
        return {"inputs": self.inputs, "labels": self.labels}

    def _details(self) -> dict[str, Any]:
        return {
            "n_samples": self.n_samples,
            "classes": [str(label) for label in self.classes],
            "reduction": self.reduction,
        }

    def _full_loss(self, single: bool, n_outputs: int) -> object:
        mean = self.reduction == "mean"
        return _core.classification_loss(self.inputs, self.labels, n_outputs, mean, single)


def _encode(labels: Any, n_samples: int) -> tuple[tuple[Any, ...], IndexArray]:
    """Return the classes in order and each sample's index among them."""
    # A pandas Categorical, alone or inside a Series, brings its own order.
    categorical = getattr(labels, "cat", labels)
    if hasattr(categorical, "categories") and hasattr(categorical, "codes"):
        codes = np.array(categorical.codes, dtype=np.int64)
        _check_labels(codes, n_samples, codes < 0)
        return tuple(np.asarray(categorical.categories).tolist()), codes
    array = _as_label_array(labels)
    if array.dtype == object:
        return _encode_objects(array, n_samples)
    _check_labels(array, n_samples, array != array)  # only NaN and NaT differ from themselves
    values, codes = np.unique(array, return_inverse=True)
    return tuple(_plain(value) for value in values), codes.astype(np.int64)


def _encode_objects(array: NDArray[Any], n_samples: int) -> tuple[tuple[Any, ...], IndexArray]:
    _check_labels(array, n_samples, np.array([is_missing(v) for v in array.ravel()], dtype=bool))
    try:
        appearing: list[Hashable] = list(dict.fromkeys(array.tolist()))
    except TypeError as error:
        raise TypeError(f"labels: expected labels that can be compared: {error}") from None
    try:
        classes = sorted(appearing)  # type: ignore[type-var]
    except TypeError:
        classes = appearing
    index = {label: code for code, label in enumerate(classes)}
    return tuple(classes), np.array([index[label] for label in array.tolist()], dtype=np.int64)


def _as_label_array(labels: Any) -> NDArray[Any]:
    array = as_numpy(labels, "labels")
    # NumPy turns a list such as ["a", 1] into strings, which would merge "1" and 1.
    if array.dtype.kind in "US" and isinstance(labels, list | tuple) and array.ndim == 1:
        if not all(isinstance(label, str | bytes) for label in labels):
            return np.array(labels, dtype=object)
    return array


def _check_labels(array: NDArray[Any], n_samples: int, missing: NDArray[np.bool_]) -> None:
    if array.shape != (n_samples,):
        raise ValueError(
            f"labels: expected shape ({n_samples},), one label for each row of inputs, "
            f"got {array.shape}"
        )
    if missing.any():
        raise ValueError(f"labels[{int(np.argmax(missing))}]: expected a label, got a missing one")


def _plain(value: Any) -> Any:
    return value.item() if value.dtype.kind in "biufcUS" else value
