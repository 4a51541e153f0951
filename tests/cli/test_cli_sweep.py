"""``pydlnet sweep``, and what ``show`` says of its folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from experiment_file import BASIC

import pydlnet as dln

GRID = """
[grid]
"method.learning_rate" = [0.1, 0.2]
start.depth = [1, 2, 3]
[output]
path = "out"
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "depth_sweep.toml"


@pytest.fixture
def sweep_file(write):
    """Return a sweep file of six points."""
    return write(BASIC + GRID)


def test_every_point_is_the_run_of_the_file(call, sweep_file):
    code, out, err = call("sweep", sweep_file, "--jobs", "2")
    assert (code, err) == (0, "")
    assert "6 points: learning_rate 2 x depth 3, in out" in out
    assert "\n6 done (see more with: pydlnet show out)" in out
    data = dln.open_sweep("out").data
    for rate in (0.1, 0.2):
        for depth in (1, 2, 3):
            settings = [
                f"method.learning_rate={rate}",
                f"start.depth={depth}",
                "output.path=one.nc",
            ]
            flags = [part for setting in settings for part in ("--set", setting)]
            text = sweep_file.read_text().partition("[grid]")[0]
            Path("one.toml").write_text(text)
            assert call("run", "one.toml", *flags, "--overwrite")[0] == 0
            alone = dln.open("one.nc").data
            member = data.sel(learning_rate=rate, depth=depth, step=alone["step"])
            np.testing.assert_array_equal(member["loss"], alone["loss"])
            np.testing.assert_array_equal(member["singular_value"], alone["singular_value"])


def test_what_came_out_is_shown_for_every_point(call, sweep_file):
    assert call("sweep", sweep_file)[0] == 0
    data = dln.open_sweep("out").data
    lines = call("show", "out")[1].splitlines()
    (first,) = (k for k, line in enumerate(lines) if line.split()[:2] == ["learning_rate", "depth"])
    header, *rows = (line.split() for line in lines[first : first + 7])
    for row in rows:
        shown = dict(zip(header, row, strict=True))
        point = data.sel(learning_rate=float(shown["learning_rate"]), depth=int(shown["depth"]))
        assert shown["status"] == point.status.item()
        assert int(shown["last_step"]) == point.last_step
        np.testing.assert_allclose(float(shown["final_loss"]), point.final_loss, rtol=1e-3)
    assert len({(row[0], row[1]) for row in rows}) == 6
    # Too many to read.
    many = f"grid.method.weight_decay={[k / 100 for k in range(11)]}"
    assert call("sweep", sweep_file, "--set", many, "--set", "output.path=many")[0] == 0
    assert "final_loss " not in call("show", "many")[1]


def test_problems_that_differ_between_points_are_announced(call, write):
    problem = '[problem]\nkind = "MatrixCompletion.synthetic"\nshape = [4, 3]\nrank = 1\n'
    drawn = problem + "n_observed = 8\n" + BASIC[BASIC.index("[start]") :] + GRID
    said = "problem: drawn anew at every point"
    assert said in call("sweep", write(drawn))[1]
    same = write(drawn.replace("rank = 1", "rank = 1\nrng = 0"))
    assert said not in call("sweep", same, "--set", "output.path=same")[1]
    asked = write(drawn.replace("start.depth", "problem.rng"))
    assert said not in call("sweep", asked, "--set", "start.depth=2", "--set", "output.path=b")[1]


def test_a_sweep_file_is_none_for_run(call, sweep_file):
    code, _, err = call("run", sweep_file)
    assert code == 2
    assert "has a section [grid]: it is a file for pydlnet sweep" in err


def test_a_folder_with_points_wants_a_word(call, sweep_file):
    assert call("sweep", sweep_file, "--shard", "1/2")[0] == 0
    code, _, err = call("sweep", sweep_file)
    assert code == 2
    assert "'out' holds points of this sweep (3 done, 3 missing); go on with --resume" in err
    code, out, _ = call("sweep", sweep_file, "--list")
    assert code == 0
    assert [line.split()[2] for line in out.splitlines()[1:7]] == ["done", "missing"] * 3
    records = {path: path.stat().st_mtime_ns for path in Path("out").rglob("point.json")}
    assert call("sweep", sweep_file, "--resume")[0] == 0
    assert all(path.stat().st_mtime_ns == time for path, time in records.items())
    shown = call("show", "out")[1]
    assert "points   6: 6 done" in shown
    assert "singular_value (step, mode), final_loss, status, last_step" in shown
    assert call("sweep", sweep_file, "--recompute", "--jobs", "1")[0] == 0
    assert all(path.stat().st_mtime_ns > time for path, time in records.items())


def test_points_that_fail_are_listed(call, write):
    bad = GRID.replace("[0.1, 0.2]", "[0.1, -1.0]")
    code, out, err = call("sweep", write(BASIC + bad))
    assert (code, err) == (1, "")
    assert "3 done, 3 failed (see" in out
    assert "learning_rate=-1, depth=1: ValueError: method.learning_rate: expected" in out
    _, shown, _ = call("show", "out")
    assert "failed (3), tried again by the next launch" in shown
    assert "3 converged" in shown


def test_what_is_not_in_the_grid_is_seeded_from_the_point(call, write):
    text = BASIC.replace('kind = "identity"', 'kind = "balanced"') + GRID + "[sweep]\nrng = 3\n"
    path = write(text)
    assert call("sweep", path)[0] == 0
    first = dln.open_sweep("out").data.load()
    assert len(np.unique(first["loss"].sel(step=0))) == 6
    assert call("sweep", path, "--set", "output.path=again", "--backend", "processes")[0] == 0
    assert dln.open_sweep("again").data.load().identical(first)


def test_data_counts_by_content(call, write, tmp_path):
    text = 'data = "data.npz"\n' + BASIC.replace("target = [[1.0, 0.0], [0.0, 0.5]]", "") + GRID
    path = write(text)
    np.savez(tmp_path / "data.npz", target=np.eye(2))
    assert call("sweep", path)[0] == 0
    shutil.copy(tmp_path / "data.npz", tmp_path / "other.npz")
    assert "6 points: 6 done" in call("sweep", path, "--set", "data=other.npz", "--list")[1]
    np.savez(tmp_path / "data.npz", target=np.eye(2) / 2)
    assert "6 points: 6 missing" in call("sweep", path, "--list")[1]


def test_the_example_runs(call):
    code, out, _ = call("sweep", EXAMPLE, "--set", "run.n_steps=50")
    assert code == 0
    assert "\n36 done (see" in out


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (('"method.learning_rate"', '"method.learnin_rate"'), (), "'learnin_rate'; did you mean"),
        (
            ('"method.learning_rate"', '"methods.x"'),
            (),
            "[grid]: unknown section 'methods'; did you",
        ),
        (('"method.learning_rate"', '"depth"'), (), '[grid]: expected "section.key", such as'),
        (("[0.1, 0.2]", "[]"), (), "expected at least one value, got none"),
        (
            ("[0.1, 0.2]", "0.1"),
            (),
            "grid.method.learning_rate: expected a list of values, got 0.1",
        ),
        (("[0.1, 0.2]", "[0.1, 0.1]"), (), "expected different values, got the same in places 0"),
        (("[grid]", "[gird]"), (), "unknown section or key 'gird'; did you mean 'grid'?"),
        ((GRID, ""), (), "[grid]: expected lists of values, such as"),
        (("", ""), ("--backend", "cloud"), "--backend: expected one of threads, processes, dask"),
        (("", ""), ("--shard", "0/3"), "--shard: expected 1 <= K <= N, got 0/3"),
        (("", ""), ("--shard", "x"), "--shard: expected K/N, such as 3/100, got 'x'"),
        (("", ""), ("--backend", "threads", "--scheduler", "x"), "expected --backend dask with it"),
    ],
)
def test_messages(call, write, change, flags, message):
    code, _, err = call("sweep", write((BASIC + GRID).replace(*change)), *flags)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_scheduler_that_does_not_answer_is_an_error(call, sweep_file):
    pytest.importorskip("distributed")
    code, _, err = call("sweep", sweep_file, "--scheduler", "tcp://127.0.0.1:1")
    assert code == 2
    assert "--scheduler: no answer from tcp://127.0.0.1:1 within 5 s" in err
    assert not list(Path().rglob("point.json"))


def test_ctrl_c_exits_with_130(write, tmp_path):
    endless = (("loss = 1e-6", "seconds = 1e6"), ("n_steps = 1000", "n_steps = 1_000_000_000_000"))
    path = write(BASIC + GRID, *endless)
    output = f"output.path={tmp_path / 'out'}"
    code = f"""
import os, signal, threading
import pydlnet as dln
from pydlnet.cli import main
for name in dln.__all__:
    getattr(dln, name)  # loaded before Ctrl-C may come
threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
raise SystemExit(main(["sweep", {str(path)!r}, "--jobs", "2", "--set", {output!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted, 6 points: 6 missing; go on with --resume" in done.stderr


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_is_heard_by_one_process(write, tmp_path):
    """A terminal sends it to all, also to workers that are still importing."""
    endless = (("loss = 1e-6", "seconds = 1e6"), ("n_steps = 1000", "n_steps = 1_000_000_000_000"))
    path = write(BASIC + GRID, *endless)
    output = tmp_path / "out"
    flags = ["--jobs", "2", "--backend", "processes", "--set", f"output.path={output}"]
    with subprocess.Popen(
        [sys.executable, "-m", "pydlnet", "sweep", str(path), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not (output / "sweep.json").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "interrupted, 6 points: 6 missing; go on with --resume\n"
