"""What `import pydlnet` loads, and that every name is there when it is used."""

import ast
import importlib
import pickle
import pydoc
import types
from pathlib import Path

import pytest

import pydlnet as dln

STUB = ast.parse(Path(dln.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))

HEAVY = {"xarray", "pandas", "scipy", "matplotlib", "joblib", "h5netcdf", "h5py", "zarr", "typer"}


def last_line(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def test_the_import_alone_loads_no_library(isolated):
    # Neither NumPy nor anything else that is not Python's own; what was there before is not ours.
    code = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
import pydlnet
loaded = {name.partition(".")[0] for name in sys.modules} - before
print(sorted(loaded - sys.stdlib_module_names - {"pydlnet"}))
"""
    assert last_line(isolated(code)) == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "init.balanced((2, 2), 0.1, 0)",
        "TargetMatrix([[1.0]])",
        "GradientDescent(0.1)",
        "Record('loss')",
        "datasets.GASES",
        "chain.product([[[1.0]]])",
        "__version__",
    ],
)
def test_what_needs_numpy_alone_loads_nothing_heavier(isolated, use):
    code = f"""
import sys
import pydlnet as dln
dln.{use}
print(sorted({HEAVY} & sys.modules.keys()))
"""
    assert last_line(isolated(code)) == "[]"


def test_a_run_loads_neither_pictures_nor_files_nor_the_command_line(isolated):
    code = f"""
import sys
import pydlnet as dln
dln.run(dln.TargetMatrix([[1.0]]), [[[0.5]]], dln.GradientDescent(0.1), n_steps=2)
print(sorted({HEAVY - {"xarray", "pandas", "scipy"}} & sys.modules.keys()))
"""
    assert last_line(isolated(code)) == "[]"


@pytest.mark.parametrize("order", ["", "[::-1]"])
def test_every_name_is_found_whichever_comes_first(isolated, order):
    code = f"""
import pydlnet as dln
for name in dln.__all__{order}:
    assert name in dir(dln) and getattr(dln, name) is getattr(dln, name), name
    assert name in vars(dln), name  # found without a search from now on
print(len(dln.__all__))
"""
    assert int(last_line(isolated(code))) == len(dln.__all__) > 30


def test_a_star_gives_every_name(isolated):
    code = "from pydlnet import *; import pydlnet; print(set(pydlnet.__all__) - set(globals()))"
    assert last_line(isolated(code)) == "set()"


def imports_of_the_stub():
    for node in STUB.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module, alias.name, alias.asname or alias.name


def test_every_name_is_what_type_checkers_take_it_for():
    for module, name, public in imports_of_the_stub():
        source = importlib.import_module(f".{module or name}", "pydlnet")
        assert getattr(dln, public) is (getattr(source, name) if module else source), public
    assert sorted(public for *_, public in imports_of_the_stub()) == dir(dln)
    assert set(dln.__all__) <= set(dir(dln))


def test_names_are_found_from_many_threads_at_once(isolated):
    code = """
import sys, threading
import pydlnet as dln
sys.setswitchinterval(1e-5)
together = threading.Barrier(8)
found = []

def find(start):
    together.wait()
    for name in dln.__all__[start::4]:
        found.append((name, getattr(dln, name)))

threads = [threading.Thread(target=find, args=(start % 4,)) for start in range(8)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
assert all(getattr(dln, name) is value for name, value in found)
print(len(found) - 2 * len(dln.__all__))
"""
    assert last_line(isolated(code)) == "0"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(AttributeError, match="no attribute 'adam'; did you mean 'Adam'"):
        dln.adam  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'zzz'$"):
        dln.zzz  # noqa: B018
    assert not hasattr(dln, "__wrapped__")


def test_the_nearest_name_is_given_once(isolated):
    result = isolated("import pydlnet; pydlnet.GradientDecent")
    assert result.stderr.count("GradientDescent") == 1


def test_the_package_has_its_help():
    text = pydoc.plain(pydoc.render_doc(dln))
    assert "singular" in text
    assert "run_ensemble(" in text


def test_what_cannot_be_loaded_is_not_listed(monkeypatch):
    # Or `help` and whatever else looks at every name would end in an ImportError.
    monkeypatch.setattr("pydlnet._public.find_spec", lambda name: None if name == "jax" else True)
    assert "jax" not in dir(dln)
    assert {"torch", "sklearn", "run"} < set(dir(dln))


def test_pickles_open_where_only_pickle_was_imported(isolated):
    things = [dln.GradientDescent(0.1), dln.TargetMatrix([[1.0]]), dln.Record("loss"), dln.run]
    code = f"import pickle; print(*pickle.loads({pickle.dumps(things)!r}), sep='|')"
    assert last_line(isolated(code)).startswith("GradientDescent(learning_rate=0.1")


def test_modules_keep_their_names():
    assert isinstance(dln.theory, types.ModuleType)
    assert dln.init.__name__ == "pydlnet.initialization"
    assert dln.open.__module__ == "pydlnet.storage"
