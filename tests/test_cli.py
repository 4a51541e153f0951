"""The command line: experiment files, their mistakes, what is printed, exit codes."""

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
from helpers import press_ctrl_c_late

import pydlnet as dln
from pydlnet import loop
from pydlnet.cli import main

BASIC = """
[problem]
kind = "TargetMatrix"
target = [[1.0, 0.0], [0.0, 0.5]]

[start]
kind = "identity"
depth = 2
hidden_width = 3
scale = 0.1

[method]
kind = "GradientDescent"
learning_rate = 0.1

[record]
quantities = ["loss", "singular_values"]

[stop]
loss = 1e-6

[run]
n_steps = 1000
"""
GAS_SENSOR = os.environ.get("PYDLNET_GAS_SENSOR")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYDLNET_GAS_SENSOR", raising=False)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def write(tmp_path):
    """Return a function that writes an experiment file, with replacements."""

    def make(text=BASIC, *replacements, name="try.toml"):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


@pytest.fixture
def fails(call, write):
    """Return a function that runs a file that must be refused, and returns the message."""

    def run(*replacements, settings=(), text=BASIC):
        flags = [part for setting in settings for part in ("--set", setting)]
        code, _, err = call("run", write(text, *replacements), "--dry-run", *flags)
        assert code == 2
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return run


# --- running


def test_a_run_is_the_one_of_the_python_functions(call, write):
    code, out, err = call("run", write())
    assert (code, err) == (0, "")
    assert "converged after" in out
    saved = dln.open("try.nc")
    expected = dln.run(
        dln.TargetMatrix([[1.0, 0.0], [0.0, 0.5]]),
        dln.init.identity((2, 3, 2), 0.1),
        dln.GradientDescent(0.1),
        n_steps=1000,
        record=dln.Record(["loss", "singular_values"]),
        stop=dln.Stop(loss=1e-6),
    )
    assert saved.status == expected.status == "converged"
    assert saved.step == expected.step
    for name in expected.data.variables:
        np.testing.assert_array_equal(saved.data[name], expected.data[name])
    for got, wanted in zip(saved.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_summary_names_everything(call, write):
    out = call("run", write())[1]
    for part in (
        "TargetMatrix(shape=(2, 2))",
        "widths 2-3-2, 12 parameters, float64",
        "GradientDescent(learning_rate=0.1",
        "1,000, fewer as soon as the loss is at most 1e-06",
        "loss, singular_values",
        "try.nc",
    ):
        assert part in out


def test_what_is_compressed_is_said_before_and_after_the_run(call, write):
    # Widths 2-3-2: nothing to gain. 2-30-2: d_1 is cut to d_0 + d_2.
    assert "algebra  none" in call("run", write(), "--dry-run")[1]
    wide = write(BASIC, ("hidden_width = 3", "hidden_width = 30"))
    assert "algebra  d_1 30 -> 4" in call("run", wide, "--dry-run")[1]
    assert "algebra  d_1 30 -> 4" in call("run", wide)[1]
    assert "algebra  d_1 30 -> 4" in call("show", "try.nc")[1]
    off = call("run", wide, "--dry-run", "--set", "run.exact_compression=false")[1]
    assert "algebra  none" in off
    assert "exact_compression" in call("info")[1]


def test_a_dry_run_writes_nothing_and_says_how_large_the_output_gets(call, write, tmp_path):
    path = write(BASIC, ("[record]", "[record]\nevery = 10"))
    code, out, _ = call("run", path, "--dry-run")
    assert code == 0
    # Loss, two singular values, and the coordinates step and time: 8 bytes each.
    assert "101 records at most" in out
    assert "4.04 kB of records (40 bytes each) and 96 bytes of final layers" in out
    assert [file.name for file in tmp_path.iterdir()] == ["try.toml"]


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ("every = 300", 5),
        ("steps = [1, 5, 9]", 5),
        ("log_spaced = { n = 4, until = 1000 }", 5),
        ("every = 500", 3),
    ],
)
def test_the_dry_run_counts_the_records_of_the_run(call, write, keys, count):
    path = write(BASIC, ("[record]", f"[record]\n{keys}"), ("[stop]\nloss = 1e-6\n", ""))
    assert f"{count} records in all" in call("run", path)[1]
    assert dln.open("try.nc").data.sizes["step"] == count


def test_outputs(call, write, tmp_path):
    path = write(BASIC + '[output]\npath = "new/run.zarr"\npicture = "new/run.png"\n')
    assert call("run", path)[0] == 0
    assert dln.open("new/run.zarr").status == "converged"
    assert Path("new/run.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = call("run", path)
    assert code == 2
    assert "'new/run.zarr' exists; replace it with --overwrite" in err
    assert call("run", path, "--overwrite")[0] == 0


def test_a_diverged_run_is_saved_and_has_an_exit_code(call, write):
    code, out, _ = call("run", write(), "--set", "method.learning_rate=100")
    assert code == 1
    assert "diverged after" in out
    assert dln.open("try.nc").status == "diverged"
    code, out, _ = call("show", "try.nc")
    assert code == 0
    assert out.startswith("status   diverged")
    assert out.split()[-1] in ("inf", "nan")


def test_a_flow_runs_until_a_time(call, write, tmp_path):
    keys = [
        ('kind = "GradientDescent"\nlearning_rate = 0.1', 'kind = "GradientFlow"\nrtol = 1e-9'),
        ("n_steps = 1000", "until = 5.0"),
        ('"singular_values"]', '"singular_values"]\ntimes = [1.0, 2.0]'),
        ("loss = 1e-6", "loss = 1e-60"),
    ]
    code, out, _ = call("run", write(BASIC, *keys))
    assert code == 0
    assert "time 5, earlier if the loss is at most 1e-60" in out
    assert "4 records at most" in out
    assert "finished at time 5 after" in out
    assert dln.open(tmp_path / "try.nc").data["time"].values.tolist() == [0.0, 1.0, 2.0, 5.0]
    _, out, _ = call("show", tmp_path / "try.nc")
    assert "finished at time 5" in out
    assert re.search(r"^ *time +loss$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("end", "message"),
    [("n_steps = 5", "unknown key 'n_steps'"), ("until = -1.0", "run.until"), ("rng = 1", "until")],
)
def test_mistakes_about_a_flow(fails, end, message):
    method = ('kind = "GradientDescent"\nlearning_rate = 0.1', 'kind = "GradientFlow"')
    assert message in fails(method, ("n_steps = 1000", end))


def test_mini_batches_from_the_run_section(call, write):
    np.savez("data.npz", inputs=np.eye(4), outputs=np.ones((4, 1)))
    text = 'data = "data.npz"\n' + BASIC
    path = write(
        text,
        ('kind = "TargetMatrix"\ntarget = [[1.0, 0.0], [0.0, 0.5]]', 'kind = "Regression"'),
        ("learning_rate = 0.1", "learning_rate = 0.1\nbatch_size = 2"),
        ("n_steps = 1000", "n_steps = 10\nrng = 7"),
    )
    assert call("run", path)[0] == 0
    assert dln.open("try.nc").data.attrs["seed"] == 7


@pytest.mark.parametrize(
    "keys",
    [
        'kind = "gaussian"\nend_to_end_scale = 0.1\nrng = 1\nwidths = [2, 4, 4, 2]',
        'kind = "gaussian"\nstd = 0.1\nrng = 1\ndepth = 1',
        'kind = "uniform"\nrng = 1\ndepth = 2\nhidden_width = 1\ndtype = "float32"',
        'kind = "orthogonal"\nrng = 1\ndepth = 2\nhidden_width = 2',
        'kind = "balanced"\nscale = 0.1\nrng = 1\ndepth = 3\nhidden_width = 2',
        'kind = "balanced_from"\nmatrix = [[1, 2], [3, 4]]\ndepth = 2\nhidden_width = 2',
        'kind = "spectral"\nmatrix = [[1, 2], [3, 4]]\ndepth = 2\nhidden_width = 1',
    ],
)
def test_every_start(call, write, keys):
    start = BASIC[BASIC.index('kind = "identity"') : BASIC.index("[method]")]
    assert call("run", write(BASIC, (start, keys + "\n\n")))[0] == 0


@pytest.mark.parametrize(
    "method",
    [
        "Momentum",
        "GroupRMSprop",
        "RMSprop",
        "Adam",
        "AdaGrad",
        "AdaDelta",
        "GradientDescent",
        "EndToEndDescent",
    ],
)
def test_every_method(call, write, method):
    extra = {"Momentum": "momentum = 0.5\n", "EndToEndDescent": "depth = 3\n"}.get(method, "")
    path = write(BASIC, ("GradientDescent", method), ("learning_rate", extra + "learning_rate"))
    one_matrix = ["--set", "start.depth=1"] if method == "EndToEndDescent" else []
    assert call("run", path, "--set", "run.n_steps=20", *one_matrix)[0] == 0
    assert type(dln.open("try.nc").method).__name__ == method


# --- data


def problem(keys, data='data = "data.npz"\n', widths=(3, 2)):
    """Return an experiment of depth 1 on a problem made of data."""
    return f"""{data}
[problem]
{keys}
[start]
kind = "identity"
widths = {list(widths)}
[method]
kind = "GradientDescent"
learning_rate = 0.1
[run]
n_steps = 3
"""


RNG = np.random.default_rng(0)
INPUTS, OUTPUTS = RNG.standard_normal((8, 3)), RNG.standard_normal((8, 2))


@pytest.fixture
def losses(call, write):
    """Return a function that runs a file and returns its losses."""

    def run(text, *flags):
        code, _, err = call("run", write(text), "--overwrite", *flags)
        assert code == 0, err
        return dln.open("try.nc").data["loss"].values

    return run


@pytest.fixture
def expected():
    """Return the losses of the regression that the data tests describe."""
    return (
        dln.run(
            dln.Regression(INPUTS, OUTPUTS),
            dln.init.identity((3, 2)),
            dln.GradientDescent(0.1),
            n_steps=3,
        )
        .data["loss"]
        .values
    )


def test_arrays_of_a_npz_file_by_the_names_of_the_arguments(losses, expected, tmp_path):
    np.savez(tmp_path / "data.npz", inputs=INPUTS, outputs=OUTPUTS)
    np.testing.assert_array_equal(losses(problem('kind = "Regression"')), expected)


def test_arrays_of_a_npz_file_by_other_names(losses, expected, tmp_path):
    np.savez(tmp_path / "data.npz", x=INPUTS, y=OUTPUTS)
    text = problem('kind = "Regression"\ninputs = "x"\noutputs = "y"')
    np.testing.assert_array_equal(losses(text), expected)


def test_one_npy_file_an_array(losses, expected, tmp_path):
    np.save(tmp_path / "x.npy", INPUTS)
    np.save(tmp_path / "y.npy", OUTPUTS)
    text = problem('kind = "Regression"', 'data = { inputs = "x.npy", outputs = "y.npy" }')
    np.testing.assert_array_equal(losses(text), expected)
    text = problem('kind = "Regression"', 'data = "none.npz"')
    flags = ["--set", "data.inputs=x.npy", "--set", "data.outputs=y.npy"]
    np.testing.assert_array_equal(losses(text, *flags), expected)


def test_columns_of_a_csv_file(losses, expected, tmp_path):
    table = np.hstack([INPUTS, OUTPUTS]).tolist()
    rows = "\n".join(",".join(map(repr, row)) for row in table)
    (tmp_path / "data.csv").write_text("a,b,c,d,e\n" + rows + "\n")
    by_name = 'kind = "Regression"\ninputs = ["a", "b", "c"]\noutputs = ["d", "e"]'
    np.testing.assert_array_equal(losses(problem(by_name, 'data = "data.csv"')), expected)
    the_rest = 'kind = "Regression"\ninputs = "*"\noutputs = ["d", "e"]'
    np.testing.assert_array_equal(losses(problem(the_rest, 'data = "data.csv"')), expected)


def test_a_csv_file_of_numbers_is_a_matrix(losses, tmp_path):
    (tmp_path / "data.csv").write_text("1,2,3\n4,5,6\n")
    got = losses(problem('kind = "TargetMatrix"', 'data = "data.csv"'))
    target = np.arange(1.0, 7.0).reshape(2, 3)
    assert got[0] == pytest.approx(0.5 * np.sum((np.eye(2, 3) - target) ** 2))


def test_labels_and_indices_of_a_csv_file(losses, tmp_path):
    (tmp_path / "data.csv").write_text("u,v,w,label\n1,2,3,cat\n2,1,0,dog\n0,1,2,cat\n")
    keys = 'kind = "Classification"\ninputs = ["u", "v", "w"]\nlabels = "label"'
    assert losses(problem(keys, 'data = "data.csv"'))[0] > 0.0
    (tmp_path / "data.csv").write_text("rows,columns,values\n0,1,0.5\n1,2,-1\n")
    keys = 'kind = "MatrixCompletion"\nshape = [2, 3]'
    got = losses(problem(keys, 'data = "data.csv"'))
    assert got[0] == pytest.approx((0.25 + 1.0) / 4)


@pytest.mark.parametrize(
    "held_out", ['["hr", "hc", "hv"]', "[[1, 0], [2, 2], [3.0, -1.0]]", '["hr", [2, 2], "hv"]']
)
def test_held_out_entries_are_three_arrays(call, write, tmp_path, held_out):
    entries = {"rows": [0, 1], "columns": [1, 0], "values": [0.5, -1.0]}
    np.savez(tmp_path / "data.npz", hr=[1, 0], hc=[2, 2], hv=[3.0, -1.0], **entries)
    keys = f'kind = "MatrixCompletion"\nshape = [2, 3]\nheld_out = {held_out}'
    record = '[record]\nquantities = ["loss", "held_out_error"]\n'
    code, _, err = call("run", write(problem(keys) + record))
    assert code == 0, err
    # The start is the identity, which is zero at both held-out entries.
    assert dln.open("try.nc").data["held_out_error"][0] == pytest.approx((9.0 + 1.0) / 2)


def test_mistakes_about_held_out_entries(fails, tmp_path):
    entries = {"rows": [0, 1], "columns": [1, 0], "values": [0.5, -1.0]}
    np.savez(tmp_path / "data.npz", **entries)
    keys = 'kind = "MatrixCompletion"\nshape = [2, 3]\nheld_out = '
    for held_out, message in [
        ('["rows", "x", "values"]', "problem.held_out: no array 'x' in"),
        ('["rows", "columns"]', "problem.held_out: expected a tuple (rows, columns, values)"),
    ]:
        assert message in fails(text=problem(keys + held_out))


@pytest.mark.parametrize(
    "keys",
    [
        'kind = "MatrixCompletion.synthetic"\nshape = [2, 3]\nrank = 1\nn_observed = 4\nrng = 0',
        'kind = "MatrixSensing.synthetic"\nshape = [2, 3]\nrank = 1\nn_measurements = 4\nrng = 0',
    ],
)
def test_synthetic_problems(losses, keys):
    assert losses(problem(keys, ""))[0] > 0.0


def test_whitening(losses, tmp_path):
    shifted = INPUTS + 10.0
    np.savez(tmp_path / "data.npz", inputs=shifted, outputs=OUTPUTS)
    got = losses(problem('kind = "whiten"\ncenter = true\nnormalize_target = true'))
    centred = shifted - shifted.mean(axis=0), OUTPUTS - OUTPUTS.mean(axis=0)
    target = dln.whiten(*centred).problem.target
    target = target / np.sqrt(np.sum(target**2))
    assert got[0] == pytest.approx(0.5 * np.sum((np.eye(2, 3) - target) ** 2), rel=1e-12)


def test_paths_in_the_file_are_relative_to_it_others_to_the_current_folder(
    call, write, tmp_path, monkeypatch
):
    np.savez(tmp_path / "data.npz", inputs=INPUTS, outputs=OUTPUTS)
    path = write(problem('kind = "Regression"'))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call("run", path)[0] == 0
    assert Path("try.nc").exists()
    assert call("run", path, "--dry-run", "--set", "data=data.npz")[0] == 2
    assert call("run", path, "--dry-run", "--set", "data=../data.npz")[0] == 0
    monkeypatch.setenv("FOLDER", "..")
    path = write(problem('kind = "Regression"', 'data = "${FOLDER}/data.npz"'))
    assert call("run", path, "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("keys", "data", "message"),
    [
        (
            'kind = "Regression"',
            "",
            "problem.inputs: no array 'inputs' in the file, which has no `data` either",
        ),
        ('kind = "Regression"', None, "problem.outputs: no array 'outputs' in"),
        ('kind = "Regression"\noutputs = "z"', None, "problem.outputs: no array 'z' in"),
        ('kind = "Regression"', 'data = "none.npz"', "data: no file"),
        ('kind = "Regression"', 'data = "try.toml"', "ending in .npy, .npz, .csv or .zip"),
        ('kind = "Regression"', "data = 3", "data: expected a path or a table of paths, got 3"),
        ('kind = "Regression"', 'data = "$NOT_SET"', "variable NOT_SET is not set"),
        ('kind = "Regression"', 'data = "bad.npz"', "data: cannot read"),
        ('kind = "Regression"', 'data = "short.csv"', "short.csv, line 3: expected 2 fields"),
        ('kind = "Regression"', 'data = "empty.csv"', "holds no numbers"),
        ('kind = "Regression"', 'data = "data.npz"\ngas = "ethanol"', "gas: only for data from"),
        ('kind = "Regression"\ncenter = 1', None, "problem.center: expected true or false"),
    ],
)
def test_mistakes_about_data(fails, tmp_path, keys, data, message):
    np.savez(tmp_path / "data.npz", inputs=INPUTS, y=OUTPUTS)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "short.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "empty.csv").write_text("\n")
    default = 'data = "data.npz"'
    assert message in fails(text=problem(keys, default if data is None else data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n\n3,9223372036854775808\n", "line 4: expected an integer of at most 64 bits"),
        (b"a,b\n1,2\n3," + b"9" * 200_000 + b"\n", "line 3: field larger than field limit"),
        (b"a,b\n1,2\n\xe9,3\n", "line 3: expected UTF-8: invalid"),
        (b"\xef\xbb\xbfa,b\n\xe9,3\n", "line 2: expected UTF-8: invalid"),
    ],
    ids=["integer", "field", "encoding", "encoding with BOM"],
)
def test_a_broken_line_of_a_csv_file_is_named(fails, tmp_path, content, message):
    (tmp_path / "data.csv").write_bytes(content)
    keys = 'kind = "Regression"\ninputs = ["a"]\noutputs = "b"'
    got = fails(text=problem(keys, 'data = "data.csv"'))
    assert f"error: data: {tmp_path / 'data.csv'}, {message}" in got


def test_large_integers_of_a_csv_file_are_floats_among_floats(losses, tmp_path):
    (tmp_path / "data.csv").write_text(f"a,b\n{10**20},1\n0.5,2\n")
    keys = 'kind = "Regression"\ninputs = ["a"]\noutputs = "b"'
    got = losses(problem(keys, 'data = "data.csv"', widths=(1, 1)))
    assert got[0] == pytest.approx(1e40 / 4)


def test_objects_are_never_unpickled(fails, tmp_path):
    np.save(tmp_path / "data.npy", np.array([{}], dtype=object), allow_pickle=True)
    text = problem('kind = "TargetMatrix"', 'data = "data.npy"')
    assert "data: cannot read" in fails(text=text)


# --- mistakes in the file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[problem]", "[problm]", "unknown section or key 'problm'; did you mean 'problem'?"),
        ("[problem]", "dat = 1\n[problem]", "unknown section or key 'dat'; did you mean 'data'?"),
        ("target =", "targt =", "[problem] TargetMatrix: unknown key 'targt'; did you mean"),
        ("scale =", "scael =", "[start] identity: unknown key 'scael'; did you mean 'scale'?"),
        ("learning_rate", "learnin_rate", "unknown key 'learnin_rate'; did you mean 'learning"),
        ("quantities", "quantitys", "[record]: unknown key 'quantitys'; did you mean 'quanti"),
        ("loss = 1e-6", "los = 1e-6", "[stop]: unknown key 'los'; did you mean 'loss'?"),
        ("loss = 1e-6", "condition = 1", "[stop]: unknown key 'condition'"),
        ("n_steps", "steps", "[run]: unknown key 'steps'; did you mean 'n_steps'?"),
        ("TargetMatrix", "TargetMatix", "problem.kind: unknown kind 'TargetMatix'; did you mean"),
        ("identity", "identiti", "start.kind: unknown kind 'identiti'; did you mean 'identity'?"),
        ("GradientDescent", "SGD", "method.kind: unknown kind 'SGD'; known are GradientDescent, "),
        ('"GradientDescent"', '["Adam"]', "method.kind: unknown kind ['Adam']"),
        ("GradientDescent", "adam", "did you mean 'Adam'?"),
        ('"loss", ', '"los", ', "unknown quantity 'los'"),
        ('kind = "identity"\n', "", "[start]: kind is missing; known are balanced"),
        ("learning_rate = 0.1", "", "[method] GradientDescent: learning_rate is missing"),
        ("n_steps = 1000", "rng = 0", "[run]: n_steps is missing"),
        ("[run]\nn_steps = 1000", "", "try.toml: the section [run] is missing"),
        ("depth = 2\n", "", "[start]: expected widths, or depth and hidden_width"),
        ("hidden_width = 3\n", "", "[start]: expected hidden_width"),
        ("depth = 2", "depth = 0", "start.depth: expected an integer >= 1, got 0"),
        ("depth = 2", "depth = 200_000", "start.depth: expected an integer <= 10000, got 200000"),
        ("depth = 2", "depth = 2.0", "start.depth: expected an integer, got float 2.0"),
        ("depth = 2", "depth = 2\nwidths = [2, 2]", "[start]: give either widths, or depth"),
        ("learning_rate = 0.1", 'learning_rate = "fast"', "method.learning_rate: expected"),
        ("learning_rate = 0.1", "learning_rate = -1", "method.learning_rate: "),
        ("n_steps = 1000", "n_steps = -1", "run.n_steps: expected an integer >= 0, got -1"),
        ("n_steps = 1000", f"n_steps = {10**30}", "run.n_steps: expected an integer <= 10000000"),
        ("learning_rate = 0.1", "learning_rate = [0.1]", "learning_rate: expected at least 1000 e"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nbatch_size = 2", "batch_size: expected None"),
        ('"singular_values"', '"held_out_error"', "held_out"),
        (
            "[run]",
            "[output]\npicture = 'x.jpg'\n[run]",
            "expected a name ending in .png, .pdf, .svg",
        ),
        ("n_steps = 1000", "n_steps = 10.5", "run.n_steps: expected an integer, got float 10.5"),
        ("[run]", "[run]\nprogress = true", "[run]: unknown key 'progress'"),
        ("loss = 1e-6", "loss = nan", "stop.loss: expected a finite number, got nan"),
        ("[[1.0, 0.0], [0.0, 0.5]]", "[[1.0], [0.0, 0.5]]", "problem.target: expected"),
        ("[[1.0, 0.0], [0.0, 0.5]]", "[[1.0, nan]]", "problem.target: expected finite numbers"),
        ("[record]", "[record]\nevery = 0", "record.every: expected an integer >= 1, got 0"),
        ("[record]", "[record]\nlog_spaced = 1", "record.log_spaced.n: expected"),
        ("[record]", "[record]\nlog_spaced = 9\nevery = 2", "give one of log_spaced, every and"),
        ("[run]", "[output]\npath = 'x.txt'\n[run]", "output.path: expected a name ending in"),
        ("[run]", "[output]\npath = 3\n[run]", "output.path: expected a path, got 3"),
        ("[run]", "[output]\npth = 'x.nc'\n[run]", "[output]: unknown key 'pth'; did you mean"),
        ('["loss", "singular_values"]', '["stable_rank"]\n[output]\npicture = "x.png"', "picture"),
        ("[run]", "[run", "not valid TOML"),
    ],
)
def test_mistakes_in_the_file(fails, old, new, message):
    assert message in fails((old, new))


def test_a_file_that_is_not_there(call):
    assert call("run", "nothing.toml") == (2, "", "error: no file 'nothing.toml'\n")


def test_a_network_that_does_not_fit_is_refused_before_the_run(fails):
    text = problem('kind = "TargetMatrix"\ntarget = [[1.0]]', "")
    assert "expected an end-to-end matrix of shape (1, 1)" in fails(text=text)


# --- settings


def test_settings_replace_keys_and_are_read_as_toml(call, write):
    flags = ["method.learning_rate=[0.1, 0.2, 0.3]", "run.n_steps=2", "output.path=b.nc"]
    arguments = [part for flag in flags for part in ("--set", flag)]
    assert call("run", write(), *arguments)[0] == 0
    saved = dln.open("b.nc")
    assert saved.step == 2
    np.testing.assert_array_equal(saved.method.learning_rate, [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method.learning_rate", "expected key=value"),
        ("=3", "expected key=value"),
        ("method..x=3", "expected key=value"),
        ("method.kind.x=3", "'kind' is not a section"),
        ("run=3", "run: expected a section [run], got 3"),
        ("metod.kind=Adam", "unknown section or key 'metod'; did you mean 'method'?"),
        ("method.learning_rate=0.1\nx=2", "method.learning_rate: expected"),
    ],
)
def test_mistakes_in_settings(fails, setting, message):
    assert message in fails(settings=[setting])


# --- the other commands


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
