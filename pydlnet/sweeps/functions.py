"""The function of a sweep: its name, what it takes, and what enters the names of its points."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._validation import _brief, function_name, hint
from .canonical import canonical, text
from .grid import Axis
from .sealed import sha256
from .work import source_of

__all__ = ["Swept", "as_swept"]


@dataclass(frozen=True)
class Swept:
    """A function that is to be called at every point.

    Attributes
    ----------
    function : callable
        As it was given.
    name : str
        "module.qualname", of a partial that of the function in it.
    bound : dict of str to object
        What a partial has bound, in canonical form.
    source : str
        Digest of the function's text.
    """

    function: Callable[..., Any]
    name: str
    bound: dict[str, Any]
    source: str

    def identity(self, version: str) -> str:
        """Return canonical JSON of what all points share."""
        return text({"function": self.name, "version": version, "bound": self.bound})

    def check(self, axes: tuple[Axis, ...]) -> bool:
        """Raise unless the function takes every point; return whether it wants a generator."""
        try:
            parameters = inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # some functions in C do not say
            return False
        kinds = inspect.Parameter
        by_name = {
            name: p
            for name, p in parameters.items()
            if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
        }
        takes_any = any(p.kind is kinds.VAR_KEYWORD for p in parameters.values())
        places = [set[str]().union(*axis.texts) for axis in axes]
        given = set[str]().union(*places)
        for name in sorted(given):
            if name not in by_name and not takes_any:
                known = ", ".join(by_name) or "none"
                nearest = hint(name, by_name) or f"; its parameters are {known}"
                raise ValueError(f"grid: {self.name} has no parameter {name!r}{nearest}")
        takes_rng = "rng" in by_name and "rng" not in given and "rng" not in self.bound
        self._check_complete(parameters, axes, takes_rng)
        return takes_rng

    def _check_complete(
        self,
        parameters: Mapping[str, inspect.Parameter],
        axes: tuple[Axis, ...],
        takes_rng: bool,
    ) -> None:
        always = {name for axis in axes for name in set.intersection(*map(set, axis.texts))}
        for name, parameter in parameters.items():
            variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            needed = parameter.default is parameter.empty and not variadic
            if parameter.kind is parameter.POSITIONAL_ONLY and needed:
                raise ValueError(
                    f"function: expected parameters that can be given by name, got {name!r}, "
                    "which cannot"
                )
            if needed and name not in always and not (name == "rng" and takes_rng):
                raise ValueError(
                    f"grid: expected values of {name!r} at every point, which {self.name} needs"
                )


def as_swept(function: Any) -> Swept:
    """Return a checked function.

    Raises
    ------
    TypeError
        If it is none, or an object or a method of one, whose state no name tells.
    """
    bound: dict[str, Any] = {}
    inner = function
    while isinstance(inner, functools.partial):
        if inner.args:
            raise TypeError("function: expected a partial with keywords only, got one with others")
        for name, value in inner.keywords.items():
            bound.setdefault(name, canonical(value, f"function: {name}"))
        inner = inner.func
    if not callable(inner):
        raise TypeError(f"function: expected a function, got {_brief(function)}")
    owner = getattr(inner, "__self__", None)
    has_state = owner is not None and not isinstance(owner, type) and not inspect.ismodule(owner)
    if has_state or not hasattr(inner, "__qualname__"):
        raise TypeError(
            "function: expected a function or a functools.partial of one, as its results are kept "
            f"under its name, got {_brief(inner)}"
        )
    source = sha256(source_of(inner).encode())[:32]
    return Swept(function, function_name(inner), bound, source)
