"""Names of parameters: the form in which two values are equal exactly if they are the same point.

Numbers count by value: 1, 1.0 and np.float64(1.0) are one number, and True is none. Lists and
tuples are one kind of sequence. Arrays count by dtype, shape and bytes. Problems, methods and other
frozen dataclasses count by what they are made of, and functions by name, which is why they must be
found under it.
"""

import dataclasses
import hashlib
import json
import math
import numbers
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import _brief, function_name
from ..problems import EndToEndLoss, Problem

__all__ = ["canonical", "check_text", "fresh", "label", "plain", "text"]

_LARGEST_EXACT = 2**53
_LONGEST_LABEL = 80


def text(value: Any) -> str:
    """Return JSON with sorted keys and all digits, the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number it is, anything else as it is.

    So a function gets the same, and computes the same, whatever its point was written as.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def fresh(value: Any) -> Any:
    """Return a value that a function may change: no other point sees it."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(map(fresh, value))
    if type(value) is dict:
        return {key: fresh(item) for key, item in value.items()}
    return value


def check_text(value: str, name: str) -> None:
    """Raise unless all libraries that text goes through can write it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: expected text that UTF-8 can hold, got {value!a}") from None


def canonical(value: Any, name: str) -> Any:
    """Return what a parameter is identified by, ready for JSON.

    Parameters
    ----------
    value : object
        Number, string, bool, None, array, problem, method or another frozen dataclass, function
        of a module, or lists, tuples and mappings of these.
    name : str
        What messages call it.

    Returns
    -------
    object
        Equal for equal values.

    Raises
    ------
    TypeError, ValueError
        If it has no such form.
    """
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: expected an array without masked entries")
    value = plain(value)
    if isinstance(value, str):
        check_text(value, name)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real):
        return _number(value, name)
    if isinstance(value, complex):
        return {"complex": [_number(value.real, name), _number(value.imag, name)]}
    if isinstance(value, np.ndarray):
        return _array(value, name)
    if isinstance(value, list | tuple):
        return [canonical(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _mapping(value, name)
    if isinstance(value, PurePath):
        return {"path": str(value)}
    return _object(value, name)


def _number(value: Any, name: str) -> int | float | dict[str, str]:
    try:
        rounded = float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number in the range of float64") from None
    if isinstance(value, numbers.Integral) and rounded != value:
        return int(value)
    if math.isfinite(rounded) and rounded != value:
        raise TypeError(f"{name}: expected a number that float64 can hold, got {_brief(value)}")
    if not math.isfinite(rounded):
        return {"number": str(rounded)}
    whole = rounded.is_integer() and abs(rounded) <= _LARGEST_EXACT
    return int(rounded) if whole else rounded


def _array(value: NDArray[Any], name: str) -> dict[str, Any]:
    if value.dtype.kind not in "biufcUSMm":
        raise TypeError(f"{name}: expected an array of numbers or strings, got {value.dtype}")
    dtype = value.dtype.newbyteorder("<")
    data = np.ascontiguousarray(value, dtype=dtype)
    digest = hashlib.sha256(data.tobytes()).hexdigest()
    return {"array": digest, "dtype": dtype.str, "shape": list(value.shape)}


def _mapping(value: Mapping[Any, Any], name: str) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{name}: expected a mapping with strings as keys, got {_brief(key)}")
    return {"mapping": {key: canonical(item, f"{name}[{key!r}]") for key, item in value.items()}}


def _object(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, EndToEndLoss):
        functions = [value.function, value.hessian_product]
        return {"problem": value.describe(), "functions": canonical(functions, name)}
    if isinstance(value, Problem):
        return {"problem": value.describe()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if not value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise TypeError(f"{name}: expected a frozen dataclass, got {type(value).__name__}")
        # As for ==, a field with compare=False is no part of what a value is.
        names = [field.name for field in dataclasses.fields(value) if field.compare]
        fields = {key: canonical(getattr(value, key), f"{name}.{key}") for key in names}
        return {"kind": function_name(type(value)), "fields": fields}
    if callable(value):
        return {"function": _function(value, name)}
    raise TypeError(
        f"{name}: expected a number, a string, None, an array, a problem, a method, another frozen "
        f"dataclass, a function, or lists or mappings of these, got {_brief(value)}"
    )


def _function(value: Any, name: str) -> str:
    """Return the name of a function that is found under it, so that it stands for one function."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in getattr(value, "__qualname__", "<none>").split("."):
        found = getattr(found, part, None)
    if found is not value:
        raise TypeError(
            f"{name}: expected a function defined at the top of a module, as a point is named by "
            f"its parameters, got {_brief(value)}"
        )
    return function_name(value)


def label(value: Any) -> str | int | float | bool:
    """Return what the coordinates of the results show for a value."""
    value = plain(value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 3]}..."
