"""The names of a package, listed in its stub and each loaded when it is first used (PEP 562).

The stub, a `.pyi` file beside the package's `__init__.py`, is what type checkers and editors read;
reading it here as well keeps one list of names. It has imports from modules of the package, and
`__all__`.
"""

import ast
import importlib
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

# Modules of the package that are called as the library they need, which need not be installed.
_BRIDGES = ("jax", "sklearn", "torch")

# How long a fork waits for modules that other threads load.
SECONDS_TO_LOAD = 20.0


class _Loading:
    """The threads that load modules, during which no process is forked.

    It would begin with the locks of those modules and without the threads that release them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads: list[int] = []  # of each load

    def __enter__(self) -> None:
        with self._changed:
            self._threads.append(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._threads.remove(threading.get_ident())
            self._changed.notify_all()

    def hold(self) -> None:
        """Wait for the other threads, and let none begin."""
        self._changed.acquire()
        here = {threading.get_ident()}
        self._changed.wait_for(lambda: here.issuperset(self._threads), SECONDS_TO_LOAD)

    def release(self) -> None:
        """Let them begin again."""
        self._changed.release()


_loading = _Loading()
os.register_at_fork(
    before=_loading.hold,
    after_in_parent=_loading.release,
    after_in_child=_loading.release,
)


class _Place(NamedTuple):
    """Where a name comes from: an attribute of a module, or, without one, a module itself."""

    module: str
    attribute: str | None


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package.

    Parameters
    ----------
    package : str
        Its `__name__`.
    file : str
        Its `__file__`.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    places = _places(stub, package)

    def __getattr__(name: str) -> Any:
        if name not in places:
            # With `name` Python does not look for a near name again.
            raise AttributeError(_unknown(package, name, places), name=name)
        module, attribute = places[name]
        with _loading:
            loaded = importlib.import_module(module)
        value = loaded if attribute is None else getattr(loaded, attribute)
        setattr(sys.modules[package], name, value)  # found there from now on
        return value

    def __dir__() -> list[str]:
        return sorted(name for name in places if name not in _BRIDGES or find_spec(name))

    return __getattr__, __dir__, _listed(stub)


def _places(stub: ast.Module, package: str) -> dict[str, _Place]:
    return {
        alias.asname or alias.name: (
            _Place(f"{package}.{node.module}", alias.name)
            if node.module
            else _Place(f"{package}.{alias.name}", None)
        )
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _listed(stub: ast.Module) -> list[str]:
    assigned = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    names: list[str] = ast.literal_eval(assigned[0])  # `__all__`, the only assignment
    return names


def _unknown(package: str, name: str, known: dict[str, _Place]) -> str:
    message = f"module {package!r} has no attribute {name!r}"
    if name.startswith("_"):
        return message  # what tools ask every module for
    from ._validation import hint

    return message + hint(name, known)
