"""Arrays of an experiment file: formats, columns, paths, mistakes."""

from pathlib import Path

import numpy as np
import pytest
from experiment_file import problem

import pydlnet as dln
from pydlnet.cli.sources import read

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


def test_wrong_bytes_in_the_header_of_a_npy_file(tmp_path):
    """Whatever NumPy's parser makes of them: an error that names the file, or an array."""
    path = tmp_path / "x.npy"
    np.save(path, INPUTS)
    content = path.read_bytes()
    messages = []
    for place in range(128):
        for byte in b"(\0'[{":
            path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
            try:
                read(str(path))
            except ValueError as error:
                messages.append(str(error))
    assert len(messages) > 100
    assert all(f"data: cannot read {path}" in message for message in messages)
