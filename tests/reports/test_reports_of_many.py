"""Theory over ensembles and sweeps: which runs it covers, and what it predicts for them."""

import html
import math
import re

import numpy as np
import pytest

import pydlnet as dln
from pydlnet.reports import many

TARGET = np.diag([1.2, 1.0])
PROBLEM = dln.TargetMatrix(TARGET)
NEAR = dln.init.balanced_from(np.diag([1.0, 0.8]), (2, 2, 2))
FAR = dln.init.balanced_from(np.diag([0.1, 0.02]), (2, 2, 2))
ALLOWED = dln.theory.certificate(NEAR, PROBLEM).learning_rate_allowed
RECORD = dln.Record(["loss", "end_to_end", "imbalance", "singular_values"], every=20)
RATES = (ALLOWED, 0.01, 0.03, 3.0)


def ensemble(**kwargs):
    return dln.run_ensemble(
        kwargs.pop("problems", PROBLEM),
        [NEAR, FAR, FAR, FAR],
        [dln.GradientDescent(rate) for rate in RATES],
        n_steps=1500,
        record=RECORD,
        stop=dln.Stop(loss=1e-8),
        **kwargs,
    )


def point(rate, scale):
    start = dln.init.balanced_from(scale * TARGET, (2, 2, 2))
    method = dln.GradientDescent(rate)
    return dln.run(PROBLEM, start, method, n_steps=1500, record=RECORD, stop=dln.Stop(loss=1e-6))


def tables(tmp_path, source, **kwargs):
    """Return the sections of a page, each as rows of texts."""
    page = dln.report(source, tmp_path / "page.html", **kwargs).read_text(encoding="utf-8")
    found = {}
    for section in re.findall(r"<section.*?</section>", page, re.DOTALL):
        heading = re.search("<h2>(.*?)</h2>", section)[1]
        rows = [
            [
                html.unescape(re.sub("<.*?>", "", cell))
                for cell in re.findall("<t[hd].*?</t[hd]>", row)
            ]
            for row in re.findall("<tr>.*?</tr>", section, re.DOTALL)
        ]
        found[heading] = {row[0]: row[1:] for row in rows} | {"": section}
    return found


@pytest.mark.parametrize("run", range(4))
def test_a_member_is_the_run_that_it_would_be_alone(run):
    found = many.member_of(ensemble(), run)
    start = NEAR if run == 0 else FAR
    method = dln.GradientDescent(RATES[run])
    stop = dln.Stop(loss=1e-8)
    alone = dln.run(PROBLEM, start, method, n_steps=1500, record=RECORD, stop=stop)
    assert (found.status, found.step, found.method) == (alone.status, alone.step, alone.method)
    assert found.data.attrs["problem"] == alone.data.attrs["problem"]
    for name in ("step", "time", "loss", "end_to_end", "imbalance", "singular_value"):
        np.testing.assert_allclose(found.data[name], alone.data[name], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.weights[0], alone.weights[0], rtol=1e-9)
    if alone.status != "diverged":
        ours = dln.theory.overlay(found, PROBLEM)
        np.testing.assert_allclose(ours["mode_loss"], dln.theory.overlay(alone)["mode_loss"])


def test_the_certificates_of_an_ensemble(tmp_path):
    found = tables(tmp_path, ensemble(), problem=PROBLEM)
    theory, certificates = found["Theory"], found["Certificates"]
    assert theory["certificate of convergence"][0] == "1 of 4"
    assert "deficiency margin: expected above" in theory["certificate of convergence"][1]
    assert theory["gradient flow from balanced layers"][0] == "3 of 4"
    assert "2 / sharpness" in theory["gradient flow from balanced layers"][1]
    rows = {name.partition(",")[0]: cells for name, cells in certificates.items()}
    guaranteed, margin, allowed, held, taken, _, bound = rows["run 0"]
    assert (guaranteed, held, taken) == ("yes", "5 of 5", "1,500")
    assert float(margin) == pytest.approx(1.0 - math.sqrt(0.08), rel=1e-3)
    assert float(allowed) == pytest.approx(ALLOWED, rel=1e-3)
    assert int(bound.replace(",", "")) > 1500
    assert [rows[f"run {k}"][0] for k in (1, 2, 3)] == ["no"] * 3
    for k in (1, 2):
        taken, flow, bound = rows[f"run {k}"][-3:]
        assert int(flow) == pytest.approx(int(taken), rel=0.05)
        assert bound == ""
    assert "bound of the certificate, 1 of 4 runs" in (tmp_path / "page.html").read_text()


def test_the_steps_of_a_certificate_are_those_it_promises():
    run = many.compare([("it", many.member_of(ensemble(), 0))], PROBLEM)[0]
    taken, _, bound = many.steps_of(run)
    last = float(run.trajectory.data["loss"][-1])
    promised = dln.theory.certificate(NEAR, PROBLEM).steps(ALLOWED, last)
    assert taken == 1500
    assert math.ceil(bound) == pytest.approx(promised, abs=1)


def test_a_sweep(tmp_path):
    grid = {"rate": [ALLOWED, 0.01, 0.1], "scale": [0.9, 0.1]}
    sweep = dln.sweep(point, grid, store=tmp_path / "kept", keep_trajectories=True)
    found = tables(tmp_path, sweep, problem=PROBLEM)
    assert found["Theory"]["certificate of convergence"][0] == "1 of 6"
    rows = found["Certificates"]
    covered = [name for name, cells in rows.items() if cells[0] == "yes"]
    assert covered == [f"rate={ALLOWED:.6g}, scale=0.9, finished"]
    taken, flow = rows["rate=0.01, scale=0.1, converged"][-3:-1]
    assert int(flow) == pytest.approx(int(taken), rel=0.03)
    assert "keep_trajectories=True" in tables(tmp_path, sweep)["Theory"][""]
    bare = dln.sweep(point, grid, store=tmp_path / "bare")
    assert "no trajectories were kept" in tables(tmp_path, bare, problem=PROBLEM)["Theory"][""]


def test_runs_of_another_problem_are_not_compared(tmp_path):
    other = dln.TargetMatrix(2.0 * TARGET)
    mixed = ensemble(problems=[PROBLEM, other, PROBLEM, other])
    found = tables(tmp_path, mixed, problem=PROBLEM)
    assert found["Theory"]["gradient flow from balanced layers"][0] == "2 of 2"
    assert "Compared with 2 of 4 runs." in found["Theory"][""]
    assert len(found["Certificates"]) == 2 + 2  # rows, the header and the section itself
    third = dln.TargetMatrix(3.0 * TARGET)
    assert "not that of any" in tables(tmp_path, mixed, problem=third)["Theory"][""]


def test_without_the_problem_it_is_said_what_to_give(tmp_path):
    assert "dln.report(ensemble, problem=problem)" in tables(tmp_path, ensemble())["Theory"][""]
    with pytest.raises(ValueError, match="problem: expected None with the data of an ensemble"):
        dln.report(ensemble().data, tmp_path / "page.html", problem=PROBLEM)


def test_many_members_are_some_of_them(tmp_path):
    methods = [dln.GradientDescent(rate) for rate in np.linspace(0.01, 0.1, 60)]
    found = dln.run_ensemble(PROBLEM, FAR, methods, n_steps=100, record=RECORD)
    sections = tables(tmp_path, found, problem=PROBLEM)
    assert "Compared with 40 of 60 runs." in sections["Theory"][""]
    assert (tmp_path / "page.html").stat().st_size < 5_000_000


def test_the_page_in_a_browser(browser, tmp_path):
    dln.report(ensemble(), tmp_path / "page.html", problem=PROBLEM)
    shown = browser.open(tmp_path / "page.html")
    assert shown.pixels(shown.figure("Steps to the last loss"))
    assert shown.pixels(shown.figure("loss"))
