"""`pydlnet report`."""

import pytest
from experiment_file import BASIC

import pydlnet as dln


@pytest.fixture
def saved(call, write):
    """Run the basic experiment and return its file."""
    file = write()
    assert call("run", file)[0] == 0
    return file


def test_a_page_about_a_run(call, saved, tmp_path):
    code, out, err = call("report", "try.nc", "-o", "page.html")
    assert (code, err) == (0, "")
    assert out.startswith("wrote page.html, ")
    assert "<h1>try.nc</h1>" in (tmp_path / "page.html").read_text()


def test_the_experiment_file_gives_problem_and_command(call, saved, tmp_path):
    assert call("report", "try.nc", "--experiment", saved, "--set", "run.n_steps=999")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "Theory is not compared" not in page
    assert f"pydlnet run {saved} --set run.n_steps=999" in page
    assert "target = [[1.0, 0.0], [0.0, 0.5]]" in page


def test_what_is_refused(call, saved, write):
    assert call("report", "nothing.nc") == (2, "", "error: no file or folder 'nothing.nc'\n")
    assert "expected --experiment" in call("report", "try.nc", "--set", "data=x")[2]
    other = write(BASIC, ("[0.0, 0.5]", "[0.0, 0.6]"), name="other.toml")
    code, _, err = call("report", "try.nc", "--experiment", other)
    assert code == 2
    assert "problem: expected the one of the trajectory" in err
    assert call("report", "try.nc", "-o", "page.pdf")[0] == 2


def test_an_ensemble_is_shown(call):
    starts = [dln.init.balanced((2, 2, 2), scale=0.1, rng=seed) for seed in range(3)]
    problem = dln.TargetMatrix([[2.0, 0.0], [0.0, 1.0]])
    methods = [dln.GradientDescent(rate) for rate in (0.1, 0.1, 9.0)]
    ensemble = dln.run_ensemble(problem, starts, methods, n_steps=50)
    ensemble.save("whole.nc")
    ensemble.data.to_netcdf("ensemble.nc")
    for name in ("whole.nc", "ensemble.nc"):
        code, out, err = call("show", name)
        assert (code, err) == (0, "")
        assert "3: 2 finished, 1 diverged" in out
        assert "widths 2-2-2, float64" in out
        assert "loss (run, step)" in out
    ensemble.data.drop_vars("status").to_netcdf("else.nc")
    code, _, err = call("show", "else.nc")
    assert code == 2
    assert "expected a trajectory" in err
