"""`pydlnet run`: what a file says is what runs; mistakes in it, and `--set`."""

import re
from pathlib import Path

import numpy as np
import pytest
from experiment_file import BASIC, problem

import pydlnet as dln


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


def test_a_store_goes_on_where_it_was(call, write):
    pytest.importorskip("zarr")
    path = write(BASIC, ("[stop]\nloss = 1e-6\n", '[output]\nstore = "kept.zarr"\n'))
    assert "kept in kept.zarr" in call("run", path, "--set", "run.n_steps=300")[1]
    assert "finished at step 300" in call("show", "kept.zarr")[1]
    code, out, err = call("run", path)
    assert (code, err) == (0, "")
    assert "finished after 1,000 steps" in out
    whole = dln.run(
        dln.TargetMatrix([[1.0, 0.0], [0.0, 0.5]]),
        dln.init.identity((2, 3, 2), 0.1),
        dln.GradientDescent(0.1),
        n_steps=1000,
        record=dln.Record(["loss", "singular_values"]),
    )
    kept = dln.open("kept.zarr", verify=True)
    for name in whole.data.variables:
        np.testing.assert_array_equal(kept.data[name], whole.data[name])
    code, _, err = call("run", path, "--set", "method.learning_rate=0.2")
    assert code == 2
    assert (
        "was written for another method: expected learning_rate=0.1, got learning_rate=0.2" in err
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ('store = "kept.nc"', "output.store: expected a name ending in .zarr, got 'kept.nc'"),
        ('store = "a.zarr"\npath = "b.nc"', "output: expected either path or store, and not both"),
    ],
)
def test_stores_that_cannot_be(call, write, output, message):
    code, _, err = call("run", write(BASIC, ("[stop]", f"[output]\n{output}\n[stop]")))
    assert code == 2
    assert message in err
