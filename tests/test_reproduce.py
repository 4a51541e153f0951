"""The experiments of the papers: what is written, what must come out, what is refused."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from pydlnet import reproduce
from pydlnet.cli import main
from pydlnet.reproduce import Experiment, Outcome, Part, Settings, report
from pydlnet.reproduce.drawing import panels, spread


def tiny_parts(settings):
    """Yield two parts that need no run."""
    for name in ("first", "second"):
        figure, axes = panels(1, 1)
        axes[0].plot([0, 1], [1, settings.seed])
        data = xr.Dataset({"loss": ("step", [1.0, 0.5])})
        outcomes = (Outcome(f"{name} | claim", "falls", "fell", True),)
        yield Part(name, data, figure, outcomes, "made up")


TINY = Experiment("tiny", "A paper", tiny_parts, ("data",))


def test_an_experiment_writes_its_parts_and_a_summary(tmp_path):
    lines = []
    result = TINY(tmp_path / "new" / "folder", seed=3, say=lines.append)
    folder = tmp_path / "new" / "folder"
    stems = [f"{part}.{kind}" for part in ("first", "second") for kind in ("nc", "png", "svg")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*stems, "summary.md"])
    with xr.open_dataset(folder / "second.nc", engine="h5netcdf") as data:
        assert data.attrs["seed"] == 3
        assert data.attrs["grid"] == "default"
        assert data.attrs["data_used"] == "made up"
    summary = (folder / "summary.md").read_text()
    assert summary == result.summary
    assert r"| first \| claim | falls | fell | yes |" in summary
    assert "Seed 3, default grid, 1 threads" in summary
    assert "- second: made up" in summary
    assert [outcome.agrees for outcome in result.outcomes] == [True, True]
    assert "second | claim" in lines[-1]


def test_the_same_settings_write_the_same_figures(tmp_path):
    for name in ("a", "b"):
        TINY(tmp_path / name, say=lambda line: None)
    for file in ("first.svg", "first.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_interrupted_experiment_keeps_its_parts_and_has_no_summary(tmp_path):
    def interrupted(settings):
        yield next(tiny_parts(settings))
        raise KeyboardInterrupt

    TINY(tmp_path, say=lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        Experiment("tiny", "A paper", interrupted)(tmp_path, say=lambda line: None)
    assert (tmp_path / "first.nc").exists()
    assert not (tmp_path / "summary.md").exists()


def test_a_file_that_cannot_be_completed_leaves_nothing(tmp_path, monkeypatch):
    part = next(tiny_parts(Settings()))
    monkeypatch.setattr(part.figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(part, tmp_path, Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["first.nc"]


def test_the_table_wraps_and_escapes_what_is_long():
    outcome = Outcome("a claim that is much longer than its column is wide", "-", "3", None)
    lines = report.table([outcome]).splitlines()
    assert len(lines) == 4
    assert "reported" in lines[2]
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratings": "u.data"}, "ratings: does not apply to tiny"),
        ({"data": "no-such.zip"}, "data: no file 'no-such.zip'"),
        ({"seed": -1}, "seed: expected"),
        ({"threads": 0}, "threads: expected"),
        ({"output": __file__}, "output: expected a folder"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    options, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        TINY(**{"output": "out", **options})
    assert not list(tmp_path.iterdir())


def test_the_command_line_runs_an_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(reproduce.EXPERIMENTS, "tiny", TINY)
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "tiny", "--seed", "5", "--threads", "1"]) == 0
    assert "Wrote datasets, figures and summary.md to pydlnet-tiny" in capsys.readouterr().out
    assert (tmp_path / "pydlnet-tiny" / "summary.md").exists()
    assert main(["reproduce", "tiny", "--ratings", "u.data"]) == 2
    assert "ratings: does not apply to tiny" in capsys.readouterr().err
    assert main(["reproduce", "accelerate"]) == 2
    assert "acceleration" in capsys.readouterr().err


def test_ctrl_c_ends_the_command_with_130_and_no_summary(tmp_path):
    command = [sys.executable, "-m", "pydlnet", "reproduce", "acceleration", "--output", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "l_4" not in (line := process.stdout.readline()):
        assert line, "the command ended by itself"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.stdout.close()
    assert not list(tmp_path.iterdir())


def test_the_spread_names_what_was_not_reached():
    assert spread([2.0, 1.0, 4.0]) == "2 (1 to 4, n = 3)"
    assert spread([1.0, np.nan]) == "1 (1 to 1, n = 1; 1 of 2 not reached)"
    assert spread([np.nan]) == "not reached (n = 1)"
