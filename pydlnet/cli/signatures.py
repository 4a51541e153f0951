"""Calls of public functions with the keys of a section as keywords, and messages that name both."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .config import check_keys, nearest

__all__ = ["Section", "as_flag", "call", "find_kind", "located", "parameters"]

Section = Mapping[str, Any]

_FUNCTIONS = frozenset({"condition"})  # a file cannot hold one
_OF_THE_TERMINAL = frozenset({"progress"})  # no part of an experiment


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
    left_out = _FUNCTIONS | _OF_THE_TERMINAL
    return [name for name in inspect.signature(factory).parameters if name not in left_out]


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
