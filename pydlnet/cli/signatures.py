"""Calls of public functions with the keys of a section as keywords, and messages that name both."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .config import check_keys, nearest

__all__ = ["Section", "as_count", "as_flag", "call", "find_kind", "located", "parameters"]

Section = Mapping[str, Any]

# A file cannot hold a function.
_FUNCTIONS = frozenset({"condition", "function", "hessian_product", "progress"})


def find_kind(
    name: str, section: Section, kinds: Mapping[str, Callable[..., Any]]
) -> tuple[str, Callable[..., Any]]:
    """Return the kind that a section names and the function that makes it."""
    kind = section.get("kind")
    if kind is None:
        raise ValueError(f"[{name}]: kind is missing; known are {', '.join(kinds)}")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"{name}.kind: unknown kind {kind!r}{nearest(kind, list(kinds))}")
    return kind, kinds[kind]


def parameters(factory: Callable[..., Any]) -> list[str]:
    """Return the parameters of a public function that a file can give."""
    return [name for name in inspect.signature(factory).parameters if name not in _FUNCTIONS]


def call(name: str, factory: Callable[..., Any], keywords: Mapping[str, Any]) -> Any:
    """Call a public function with checked keys; its messages get the name of the section."""
    kind = "" if name in ("record", "stop") else f" {factory.__qualname__}"
    check_keys(keywords, parameters(factory), where=f"[{name}]{kind}")
    for argument, parameter in inspect.signature(factory).parameters.items():
        if parameter.default is parameter.empty and argument not in keywords:
            raise ValueError(f"[{name}]{kind}: {argument} is missing")
    return located(name, lambda given: factory(**given), keywords)


def located(name: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a function of one argument and say in its messages where that came from."""
    try:
        return function(argument)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        # "learning_rate: expected ..." of [method] becomes "method.learning_rate: expected ...".
        first = str(error).partition(":")[0].partition("[")[0]
        is_key = isinstance(argument, Mapping) and first in argument
        raise kind(f"{name}.{error}" if is_key else f"{name}: {error}") from error


def as_flag(name: str, key: str, value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}.{key}: expected true or false, got {value!r}")
    return value


def as_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return an integer between the bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected an integer >= {least}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{name}: expected an integer <= {most}, got {value}")
    return value
