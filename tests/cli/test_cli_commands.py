"""The other commands, how commands end, and the gas sensor example."""

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from experiment_file import BASIC
from helpers import press_ctrl_c_late

import pydlnet as dln
from pydlnet import loop
from pydlnet.cli import main

GAS_SENSOR = os.environ.get("PYDLNET_GAS_SENSOR")
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_show(call, write):
    call("run", write())
    code, out, err = call("show", "try.nc")
    assert (code, err) == (0, "")
    for part in ("converged at step", "TargetMatrix, 2 x 2", "widths 2-3-2, float64", "loss"):
        assert part in out
    # The first and the last record are in the table.
    loss = dln.open("try.nc").data["loss"]
    lines = out.splitlines()
    assert lines[-9].split() == ["0", f"{float(loss[0]):.4g}"]
    assert lines[-1].split() == [str(int(loss["step"][-1])), f"{float(loss[-1]):.4g}"]


def test_show_something_else(call, tmp_path):
    assert call("show", "nothing.nc") == (2, "", "error: no file or folder 'nothing.nc'\n")
    (tmp_path / "text.nc").write_text("not a dataset")
    code, _, err = call("show", "text.nc")
    assert code == 2
    assert err.startswith("error: ")


def test_info(call):
    code, out, err = call("info")
    assert (code, err) == (0, "")
    for part in (dln.__version__, "instruction set", "numpy", "xarray", "processor"):
        assert part in out


def test_info_names_every_package_that_is_needed(call):
    out = call("info")[1]
    needed = [line for line in importlib.metadata.requires("pydlnet") if "extra" not in line]
    assert len(needed) >= 5
    for line in needed:
        name = re.match(r"[\w-]+", line).group()
        assert re.search(rf"^{name} +\d", out, re.MULTILINE), name


def test_version_and_help(call):
    assert call("--version") == (0, f"pydlnet {dln.__version__}\n", "")
    assert "demo" in call("--help")[1]
    code, out, _ = call("run", "--help")
    assert code == 0
    assert "1 the run diverged" in " ".join(out.split())


@pytest.mark.parametrize("arguments", [["rnu"], ["run"], ["demo", "--seed", "x"], ["--nothing"]])
def test_wrong_usage(call, arguments):
    code, _, err = call(*arguments)
    assert code == 2
    assert "Traceback" not in err


def test_python_m_pydlnet(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "pydlnet", "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert result.stdout == f"pydlnet {dln.__version__}\n"


@pytest.mark.parametrize("start", [["-m", "pydlnet"], ["-mpydlnet"], ["pydlnet"]])
def test_an_instruction_set_that_is_not_there(tmp_path, start):
    (tmp_path / "pydlnet").write_text("from pydlnet.cli import main\nraise SystemExit(main())\n")
    result = subprocess.run(
        [sys.executable, *start, "info"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYDLNET_ISA": "v9"},
        check=False,
    )
    assert result.returncode == 2
    assert re.fullmatch(r"error: PYDLNET_ISA: expected one of .*, got 'v9'\n", result.stderr)
    assert result.stdout == ""


def test_interrupting_a_run_saves_what_there_is(tmp_path, write):
    path = write(BASIC, ("[stop]\nloss = 1e-6\n", ""), ("n_steps = 1000", f"n_steps = {10**15}"))
    process = subprocess.Popen(
        [sys.executable, "-m", "pydlnet", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for line in process.stdout:
        if line.startswith("output"):
            break
    time.sleep(1.0)  # the summary is out: the run starts
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted after" in out
    assert dln.open(tmp_path / "try.nc").status == "interrupted"


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_interrupting_before_the_first_step_ends_the_command(
    call, write, tmp_path, monkeypatch, flags
):
    # One Ctrl-C inside the run that takes no steps: it is a flag there and not an exception.
    monkeypatch.setattr("pydlnet.interruption.SECONDS_TO_INSIST", 0.0)
    monkeypatch.setattr(
        "pydlnet.loop.Progress.show", lambda self, step: signal.raise_signal(signal.SIGINT)
    )
    code, out, err = call("run", write(), *flags)
    assert (code, out) == (130, "")
    assert err == "interrupted before the first step; nothing is saved\n"
    assert [file.name for file in tmp_path.iterdir()] == ["try.toml"]


@pytest.mark.slow
def test_demo(call, tmp_path):
    code, out, err = call("demo", "--output", "new/demo")
    assert code == 0, err
    errors = []
    for depth in (1, 2, 3):
        saved = dln.open(tmp_path / "new" / "demo" / f"depth{depth}.nc")
        assert saved.status == "converged"
        errors.append(float(saved.data["reconstruction_error"][-1]))
    assert errors[0] > 10 * errors[1] > 1000 * errors[2]
    assert "Each further layer makes the error over all entries smaller" in out
    assert (tmp_path / "new" / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_at_the_end_of_a_run_ends_the_demo(call, tmp_path, monkeypatch):
    press_ctrl_c_late(monkeypatch, loop)
    monkeypatch.setattr("pydlnet.cli.demo._MAX_STEPS", 10)
    assert call("demo", "--output", "demo")[0] == 130
    assert [file.name for file in (tmp_path / "demo").iterdir()] == ["depth1.nc"]
    assert dln.open(tmp_path / "demo" / "depth1.nc").status == "finished"


def test_demo_into_a_file(call, tmp_path):
    (tmp_path / "taken").write_text("")
    code, _, err = call("demo", "--output", "taken")
    assert (code, err) == (2, "error: output: expected a folder, but 'taken' is a file\n")


# --- the gas sensor example


def gas_archive(path, n_samples=200):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n_samples, 128)) * np.geomspace(1e-2, 1e4, 128)
    lines = [
        f"1;{10 + 5 * rng.random():.6f} "
        + " ".join(f"{k}:{value:.6f}" for k, value in enumerate(row, start=1))
        for row in rows
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Dataset/batch1.dat", "\n".join(lines))


def check_gas_sensor_run():
    saved = dln.open("gas_sensor.nc")
    assert saved.status == "converged"
    assert saved.data["loss"][-1] <= 1e-5
    assert saved.data.attrs["widths"].tolist() == [128, 32, 32, 1]
    assert Path("gas_sensor.png").exists()


def test_the_gas_sensor_example_on_made_up_measurements(call, monkeypatch):
    gas_archive("gas.zip")
    assert call("run", EXAMPLES / "gas_sensor.toml", "--set", "data=gas.zip")[0] == 0
    check_gas_sensor_run()
    monkeypatch.setenv("PYDLNET_GAS_SENSOR", "gas.zip")
    assert call("run", EXAMPLES / "gas_sensor.toml", "--overwrite")[0] == 0


def test_the_gas_sensor_example_without_its_archive(call):
    code, _, err = call("run", EXAMPLES / "gas_sensor.toml")
    assert code == 2
    assert "PYDLNET_GAS_SENSOR is not set" in err
    assert "--set data=PATH" in err
    code, _, err = call("run", EXAMPLES / "gas_sensor.toml", "--set", "data=nowhere.zip")
    assert code == 2
    assert "https://doi.org/10.24432/C5MK6M" in err
    gas_archive("gas.zip")
    flags = ["--set", "data=gas.zip", "--set", "gas=aceton"]
    assert "did you mean 'acetone'" in call("run", EXAMPLES / "gas_sensor.toml", *flags)[2]


@pytest.mark.skipif(GAS_SENSOR is None, reason="PYDLNET_GAS_SENSOR names no archive")
def test_the_gas_sensor_example(call):
    assert call("run", EXAMPLES / "gas_sensor.toml", "--set", f"data={GAS_SENSOR}")[0] == 0
    check_gas_sensor_run()


def test_a_closed_pipe_does_not_stop_a_run(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(
        """
[problem]
kind = "TargetMatrix"
target = [[3.0, 0.0], [0.0, 1.0]]
[start]
kind = "identity"
widths = [2, 2, 2]
[method]
kind = "GradientDescent"
learning_rate = 0.1
[run]
n_steps = 50
"""
    )
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "pydlnet", "run", str(file)],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writer)
    assert result.returncode == 0, result.stderr
    assert dln.open(tmp_path / "a.nc").status == "finished"


def test_an_output_that_is_a_folder_is_refused_before_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.nc").mkdir()
    Path("a.toml").write_text(
        """
[problem]
kind = "TargetMatrix"
target = [[3.0]]
[start]
kind = "identity"
widths = [1, 1]
[method]
kind = "GradientDescent"
learning_rate = 0.1
[run]
n_steps = 5
"""
    )
    assert main(["run", "a.toml", "--overwrite"]) == 2
    assert "got a folder" in capsys.readouterr().err
