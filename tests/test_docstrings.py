"""Every public name has an example, and the examples of all docstrings print what they say."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
from public_names import public_names

import pydlnet

MODULES = [
    module.name
    for module in pkgutil.walk_packages(pydlnet.__path__, "pydlnet.")
    # The core's modules need their instruction set, and `__main__` runs the command line.
    if not module.name.startswith(("pydlnet._core.", "pydlnet.__main__"))
]


def test_every_public_function_and_class_has_an_example():
    without = [
        f"{module}.{name} ({inspect.getsourcefile(value)})"
        for module, name, value in public_names()
        if callable(value) and ">>>" not in (inspect.getdoc(value) or "")
    ]
    if without:
        pytest.fail("add a section Examples to:\n" + "\n".join(without), pytrace=False)


@pytest.mark.parametrize("name", ["pydlnet", *MODULES])
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # Nothing is in scope but what the example imports, as for somebody who pastes it.
    result = doctest.testmod(module, globs={}, optionflags=options)
    assert not result.failed
