"""Experiments on ratings and pictures, and on published data that the file names."""

import numpy as np
import pytest
from experiment_file import problem
from PIL import Image

import pydlnet as dln
from pydlnet import datasets
from pydlnet.cli.sources import read

RNG = np.random.default_rng(0)
LINES = [f"u{u},{i},{RNG.integers(1, 6)}" for u in range(7) for i in range(5) if (u + i) % 3]
START = dln.init.identity((5, 7))


def losses(rated):
    method = dln.GradientDescent(0.1)
    return dln.run(rated, START, method, n_steps=3).data["loss"].values


@pytest.fixture
def run(call, write):
    """Return a function that runs a file and returns its losses."""

    def execute(keys, data, widths=(5, 7), *flags):
        code, _, err = call("run", write(problem(keys, data, widths)), "--overwrite", *flags)
        assert code == 0, err
        return dln.open("try.nc").data["loss"].values

    return execute


@pytest.fixture(autouse=True)
def small_sets(monkeypatch, tmp_path):
    """Let the published data be small, and write them where they are said to be."""
    (tmp_path / "r.csv").write_text("\n".join(LINES))
    rated = datasets.ratings(tmp_path / "r.csv")
    monkeypatch.setattr(datasets, "movielens_100k", lambda: rated)
    return rated


def test_a_table_of_ratings(run, tmp_path):
    expected = losses(datasets.ratings(tmp_path / "r.csv").completion(0.3, rng=5))
    keys = 'kind = "ratings"\nheld_out = 0.3\nrng = 5'
    np.testing.assert_array_equal(run(keys, 'data = "r.csv"'), expected)
    turned = "stars;film;who\n" + "\n".join(";".join(line.split(",")[::-1]) for line in LINES)
    (tmp_path / "t.csv").write_text(turned)
    named = keys + '\nuser = "who"\nitem = "film"\nvalue = 0'
    np.testing.assert_array_equal(run(named, 'data = "t.csv"'), expected)


def test_published_ratings_by_name(run, small_sets):
    expected = losses(small_sets.completion(0.2, rng=1))
    keys = 'kind = "ratings"\nrng = 1'
    np.testing.assert_array_equal(run(keys, 'data = "movielens_100k"'), expected)
    flags = ("--set", "data=movielens_100k")
    np.testing.assert_array_equal(run(keys, "", (5, 7), *flags), expected)


def test_a_folder_of_the_same_name_is_written_with_its_place(fails, tmp_path):
    (tmp_path / "movielens_100k").mkdir()
    text = problem('kind = "ratings"', 'data = "./movielens_100k"')
    assert f"expected one file u.data of MovieLens-100K in {tmp_path}" in fails(text=text)


def test_the_gas_sensor_data_by_name(run, monkeypatch):
    inputs, outputs = RNG.standard_normal((9, 3)), RNG.standard_normal((9, 1))
    asked = []
    monkeypatch.setattr(
        datasets, "gas_sensor", lambda path, gas: (asked.append((path, gas)), inputs, outputs)[1:]
    )
    expected = dln.run(
        dln.Regression(inputs, outputs),
        dln.init.identity((3, 1)),
        dln.GradientDescent(0.1),
        n_steps=3,
    )
    got = run('kind = "Regression"', 'data = "gas_sensor"\ngas = "acetone"', (3, 1))
    np.testing.assert_array_equal(got, expected.data["loss"].values)
    assert asked == [(None, "acetone")]


def test_a_picture(run, tmp_path):
    pixels = RNG.integers(0, 256, (14, 10), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    expected = losses(datasets.image(tmp_path / "photo.png", 0.5, rng=2, size=7))
    keys = 'kind = "image"\nfraction = 0.5\nrng = 2\nsize = 7'
    np.testing.assert_array_equal(run(keys, 'data = "photo.png"'), expected)


def test_a_sweep_reads_the_ratings_once_and_splits_them_anew(call, write, tmp_path, monkeypatch):
    reads = []
    load = datasets.movielens_100k
    monkeypatch.setattr(datasets, "movielens_100k", lambda: (reads.append(1), load())[1])
    text = problem('kind = "ratings"', 'data = "movielens_100k"', (5, 7))
    grid = '[grid]\n"problem.held_out" = [0.2, 0.4]\n[sweep]\nrng = 0\n[output]\npath = "s"\n'
    code, _, err = call("sweep", write(text + grid))
    assert code == 0, err
    first = dln.open_sweep("s").data["loss"].isel(step=0).values
    assert first.shape == (2,)
    assert first[0] != first[1]
    assert len(reads) <= 2  # once to check the file, once in the process that runs the points


@pytest.mark.parametrize(
    ("keys", "data", "message"),
    [
        ('kind = "ratings"', 'data = "none.csv"', "data: expected a file of ratings, found none"),
        ('kind = "ratings"', "", "data: expected the path of a file"),
        ('kind = "ratings"', 'data = { a = "r.csv" }', "data: expected the path of a file"),
        ('kind = "ratings"', 'data = "bad.csv"', "bad.csv, line 2: expected a number, got 'x'"),
        ('kind = "ratings"', 'data = "gas_sensor"', "data: expected ratings, gas_sensor has none"),
        ('kind = "ratings"\nuser = 1', 'data = "movielens_100k"', "user: for tables only"),
        ('kind = "ratings"\nuser = "x"', 'data = "r.csv"', "problem.user: no column 'x'"),
        ('kind = "ratings"\nheld_out = 2.0', 'data = "r.csv"', "problem.held_out: expected a"),
        ('kind = "ratings"\nusr = 0', 'data = "r.csv"', "unknown key 'usr'; did you mean 'user'"),
        ('kind = "ratings"', 'data = "r.csv"\ngas = 1', "gas: only for data from the gas sensor"),
        ('kind = "image"', 'data = "r.csv"', "data: no picture can be read from"),
        ('kind = "image"', 'data = "movielens_1m"', "data: no file 'movielens_1m'"),
        ('kind = "image"\nfraction = 3', 'data = "r.csv"', "problem.fraction: expected a number"),
        ('kind = "MatrixCompletion"', 'data = "movielens_100k"', 'with [problem] kind = "ratings"'),
        ('kind = "Regression"', 'data = "movielens_1m"\ngas = 1', "gas: only for data from"),
    ],
)
def test_mistakes(fails, tmp_path, keys, data, message):
    (tmp_path / "bad.csv").write_text("a,b,3\na,c,x\n")
    assert message in fails(text=problem(keys, data))


def test_names_of_published_data_are_functions():
    from pydlnet.cli.config import PUBLISHED

    assert all(name in datasets.__all__ for name in PUBLISHED)
    assert read("movielens_1m", whole=True).whole is not None
