"""A name that is not known is refused with the nearest one that is."""

import numpy as np
import pytest
from experiment_file import BASIC

import pydlnet as dln
from pydlnet import theory
from pydlnet._validation import hint
from pydlnet.cli import main

PROBLEM = dln.TargetMatrix(np.eye(2))
START = dln.init.balanced((2, 2), 0.1, rng=0)


def sweep_with(**grid):
    return lambda path: dln.sweep(lambda depth: {"y": depth}, grid, store=path, progress=False)


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda _: dln.gradientdescent, "GradientDescent"),
        (lambda _: dln.Record("effectve_rank"), "effective_rank"),
        (lambda _: dln.Record(["Loss"]), "loss"),
        (lambda _: dln.Regression(np.eye(2), np.eye(2), reduction="means"), "mean"),
        (lambda _: dln.MatrixSensing.synthetic((2, 2), 1, 3, rng=0, reduction="SUM"), "sum"),
        (lambda _: dln.datasets.gas_sensor(".", gas="ethanl"), "ethanol"),
        (lambda path: sweep_with(depht=[1, 2])(path), "depth"),
        (lambda path: sweep_with(depth=[1])(path).point(dept=1), "depth"),
        (
            lambda _: theory.overlay(
                dln.run(PROBLEM, START, dln.GradientDescent(0.1), n_steps=2),
                predictions=["certificat"],
            ),
            "certificate",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_python(call, meant, tmp_path):
    with pytest.raises((ValueError, AttributeError), match=f"did you mean '{meant}'"):
        call(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["rnu", "try.toml"], "run"),
        (["run", "tri.toml"], "try.toml"),
        (["run", "try.toml", "--set", "methd.kind=Adam"], "method"),
        (["run", "try.toml", "--set", "method.kind=adam"], "Adam"),
        (["run", "try.toml", "--set", "method.learning_rat=1"], "learning_rate"),
        (["run", "try.toml", "--set", "start.kind=gausian"], "gaussian"),
        (["run", "try.toml", "--set", "record.quantity=1"], "quantities"),
        (["run", "try.toml", "--set", 'record.quantities=["lss"]'], "loss"),
        (["run", "try.toml", "--set", "run.nsteps=1"], "n_steps"),
        (
            ["sweep", "try.toml", "--set", "grid.method.learning_rate=[1]", "--backend", "task"],
            "dask",
        ),
        (["reproduce", "lowrank"], "low-rank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_command_line(arguments, meant, tmp_path, monkeypatch, capsys):
    (tmp_path / "try.toml").write_text(BASIC)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"id you mean '{meant}'" in error


def test_an_option(capsys):
    assert main(["run", "try.toml", "--overwrit"]) == 2
    assert "--overwrite" in capsys.readouterr().err  # in click's words


def test_a_name_that_resembles_none_gets_no_advice():
    assert hint("zzzz", ["loss", "imbalance"]) == ""
    assert hint(3, ["loss"]) == ""
