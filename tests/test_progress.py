"""Which progress bar is shown, and what it shows; notebooks are made up."""

import io

import pytest
from helpers import assert_same_run
from small_run import run
from tqdm.auto import tqdm

from pydlnet.progress import Progress

NOTEBOOK = """
import sys, types

class ZMQInteractiveShell:
    config = {"IPKernelApp": {}}

class Widget:
    def __init__(self, children=(), **_):
        self.children = children
        self.value, self.bar_style, self.layout = 0, "", types.SimpleNamespace()
        self.style = types.SimpleNamespace()

    def close(self):
        pass

shown = []

def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)

module("IPython", get_ipython=ZMQInteractiveShell)
module("IPython.display", display=shown.append)
module("ipykernel")
module("ipykernel.zmqshell")
"""

WIDGETS = 'module("ipywidgets", FloatProgress=Widget, HTML=Widget, HBox=Widget)'
NO_WIDGETS = 'sys.modules["ipywidgets"] = None  # as if it were not installed'

RUN = """
import numpy as np, pydlnet as dln

trajectory = dln.run(
    dln.TargetMatrix(np.eye(2)), dln.init.identity((2, 2, 2)), dln.GradientDescent(1e-9),
    n_steps={n_steps}, progress={progress}, stop=dln.Stop(seconds=1.5),
)
bars = [container.children[1] for container in shown]
print([(bar.value == trajectory.step, bar.bar_style) for bar in bars])
"""


@pytest.mark.parametrize(("n_steps", "progress"), [(1000, True), (10**15, None)])
def test_a_notebook_shows_a_widget(isolated, n_steps, progress):
    result = isolated(NOTEBOOK + WIDGETS + RUN.format(n_steps=n_steps, progress=progress))
    style = "success" if progress else "danger"  # tqdm's for a bar that ends early
    assert (result.stdout, result.stderr) == (f"[(True, '{style}')]\n", "")


@pytest.mark.parametrize("progress", [None, False])
def test_a_notebook_shows_nothing_of_a_short_run(isolated, progress):
    result = isolated(NOTEBOOK + WIDGETS + RUN.format(n_steps=1000, progress=progress))
    assert (result.stdout, result.stderr) == ("[]\n", "")


@pytest.mark.parametrize(("n_steps", "progress"), [(1000, True), (10**15, None)])
def test_a_notebook_without_widgets_shows_a_line_of_text(isolated, n_steps, progress):
    result = isolated(NOTEBOOK + NO_WIDGETS + RUN.format(n_steps=n_steps, progress=progress))
    assert result.stdout == "[]\n"
    assert result.stderr.count("TqdmWarning: IProgress not found") == 1
    assert "step/s" in result.stderr.splitlines()[-1]


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO(), None])
def test_a_bar_is_shown_in_terminals_only(monkeypatch, stream):
    made = []
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("pydlnet.progress.tqdm", lambda **options: made.append(tqdm(**options)))
    Progress(0, 10, None)
    assert len(made) == isinstance(stream, Terminal)


def test_no_progress_bar_without_a_terminal(capfd):
    run(1000)
    assert capfd.readouterr() == ("", "")


def test_progress_on_demand_changes_nothing(capfd):
    shown = run(1000, progress=True)
    assert capfd.readouterr().err
    assert_same_run(shown, run(1000))
