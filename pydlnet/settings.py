"""What frozen dataclasses of settings share: checks by name, comparison, description."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from ._display import Shown
from ._validation import as_real, function_name
from .learning_rates import UnsavedFunction

__all__ = ["Settings", "fields_of"]


class Settings(Shown):
    """A frozen dataclass of numbers, flags, arrays and functions.

    A class derived from this one says in class variables what its fields may be.
    """

    _unit: ClassVar[tuple[str, ...]] = ()  # fields in [0, 1)
    _not_negative: ClassVar[tuple[str, ...]] = ("weight_decay",)
    _positive: ClassVar[tuple[str, ...]] = ()
    _flags: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check every field and bring it into its final form."""
        for name in self._unit:
            self._put(name, as_real(getattr(self, name), name, minimum=0.0, below=1.0))
        for name in self._not_negative:
            self._put(name, as_real(getattr(self, name), name, minimum=0.0))
        for name in self._positive:
            self._put(name, as_real(getattr(self, name), name, positive=True))
        for name in self._flags:
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name}: expected a bool, got {getattr(self, name)!r}")
            self._put(name, bool(getattr(self, name)))

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        """Compare kind and all fields, arrays by value."""
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in fields_of(self))

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def to_dict(self) -> dict[str, Any]:
        """Return kind and fields, ready for JSON.

        Returns
        -------
        dict
            For `method_from_dict`. An array becomes a list, a function its name.
        """
        values = {name: _plain(getattr(self, name)) for name in fields_of(self)}
        return {"kind": type(self).__name__, **values}


def fields_of(settings: Settings | type[Settings]) -> list[str]:
    """Return the names of the fields."""
    return [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    return bool(one == other)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, UnsavedFunction):
        return {"function": value.name}
    if callable(value):
        return {"function": function_name(value)}
    return list(value) if isinstance(value, tuple) else value
