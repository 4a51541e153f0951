"""What is public: the names in `__all__` of the package and of the modules that it shows.

The reference is generated from here, and the tests ask here which names need an example. A new
public name therefore appears in both without being written down a second time.
"""

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pydlnet

# `pydlnet.__all__` names its modules. Beside it are those whose names are met without being
# imported: the classes that other functions return, and the experiments.
BESIDE = ("pydlnet.problems", "pydlnet.methods", "pydlnet.sweeps", "pydlnet.reproduce")

# These need a library that may be missing; where the documentation is checked none is.
WITH_EXTRAS = ("pydlnet.torch", "pydlnet.jax", "pydlnet.sklearn")


def public_modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield public modules, each once, under the names that users give them."""
    modules = {"pydlnet": pydlnet}
    for name in pydlnet.__all__:
        if inspect.ismodule(value := getattr(pydlnet, name)):
            modules[f"pydlnet.{name}"] = value
    for name in BESIDE:
        modules.setdefault(name, importlib.import_module(name))
    for name in WITH_EXTRAS:
        with contextlib.suppress(ImportError):
            modules[name] = importlib.import_module(name)
    yield from modules.items()


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Yield module, name and value of everything public, each value once."""
    seen = set()
    for module_name, module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value) or name.startswith("__") or id(value) in seen:
                continue
            seen.add(id(value))
            yield module_name, name, value
