"""What objects show of themselves, as text and in notebooks."""

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import pydlnet as dln
from pydlnet._display import brief, sparkline
from pydlnet.notation import as_html

VOID = {"br", "polyline"}
START = dln.init.balanced((3, 3, 3), scale=0.3, rng=0)
PROBLEM = dln.TargetMatrix(np.diag([2.0, 1.0, 0.5]))
HOSTILE = "<script>alert(1)</script>&"


class Page(HTMLParser):
    """The rows of the table, the elements there are, and whether all of them are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.cells, self.styles = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.facts = dict(zip(self.cells[::2], self.cells[1::2], strict=True))

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.styles += [value for name, value in attributes if name == "style"]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open:
            self.cells[-1] += data


def page(thing):
    shown = Page(thing._repr_html_())
    assert "script" not in shown.elements
    # Nothing but statuses has a colour: the page's own is seen on light and on dark.
    painted = [style for style in shown.styles if "color:" in style.replace("color:inherit", "")]
    assert all(style.startswith("color:#") for style in painted)
    assert not any("background:" in s.replace("background:transparent", "") for s in shown.styles)
    assert "\n" not in repr(thing)
    return shown


def trajectory(**more):
    arguments = {"n_steps": 50, "record": dln.Record(["loss", "singular_values"]), **more}
    return dln.run(PROBLEM, START, dln.GradientDescent(0.05), **arguments)


def test_a_trajectory_says_how_it_went():
    run = trajectory()
    facts = page(run).facts
    first, last = run.data["loss"].values[[0, -1]]
    assert facts["status"] == "● finished at step 50"
    assert facts["loss"] == f"{first:.4g} -> {last:.4g}"
    assert facts["problem"] == repr(PROBLEM)
    assert facts["method"] == repr(run.method)
    assert facts["network"] == "widths 3-3-3, 18 parameters, float64"
    assert facts["recorded"] == f"{run.data.sizes['step']} records of loss, singular_value"
    assert "svg" in page(run).elements
    for part in ("finished at step 50", "float64", facts["loss"], facts["recorded"]):
        assert part in repr(run)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_an_opened_trajectory_shows_the_same_and_reads_two_numbers(tmp_path, ending):
    run = trajectory()
    run.save(tmp_path / f"run{ending}")
    opened = dln.open(tmp_path / f"run{ending}")
    assert repr(opened) == repr(run)
    shown = page(opened)
    assert shown.facts["loss"] == page(run).facts["loss"]
    assert shown.facts["problem"].startswith("TargetMatrix(")
    assert "digest" not in shown.facts["problem"]
    assert not any(array.variable._in_memory for array in opened.data.data_vars.values())


def test_a_store_whose_files_are_gone_is_still_shown(tmp_path):
    opened = trajectory(store=tmp_path / "run.zarr")
    opened = dln.open(tmp_path / "run.zarr")
    shutil.rmtree(tmp_path / "run.zarr")
    assert "loss" not in page(opened).facts
    assert "finished at step 50" in repr(opened)


def test_a_diverged_run_and_one_without_a_loss_are_shown():
    diverged = dln.run(PROBLEM, START, dln.GradientDescent(1e3), n_steps=50)
    assert page(diverged).facts["status"].startswith("● diverged")
    assert page(diverged).facts["loss"].endswith(("inf", "nan"))
    bare = trajectory(record=dln.Record("layer_norms"))
    assert "loss" not in page(bare).facts
    assert "loss" not in repr(bare)
    assert "svg" not in page(bare).elements


def test_a_trajectory_whose_data_was_changed_is_shown():
    run = trajectory()
    run.data.attrs.clear()
    assert "took" not in page(run).facts
    assert repr(run).startswith("<Trajectory: finished at step 50, widths")


def test_a_flow_is_shown_with_its_time():
    flow = dln.run(PROBLEM, START, dln.GradientFlow(), until=2.5)
    assert page(flow).facts["status"] == "● finished at time 2.5"


def test_an_ensemble_counts_its_ends_and_shows_the_last_losses():
    methods = [dln.GradientDescent(rate) for rate in (0.01, 0.02, 0.05)]
    ensemble = dln.run_ensemble(PROBLEM, START, methods, n_steps=20, stop=dln.Stop(seconds=60))
    last = np.sort(ensemble.data["loss"].isel(step=-1).values)
    facts = page(ensemble).facts
    assert facts["runs"] == "● 3 finished"
    assert facts["last loss"] == f"{last[0]:.4g} to {last[2]:.4g}, median {last[1]:.4g}"
    assert facts["problem"].startswith("TargetMatrix(")
    assert facts["method"].startswith("several")
    assert facts["last loss"] in repr(ensemble)
    mixed = dln.run_ensemble(
        PROBLEM, START, [dln.GradientDescent(0.1), dln.GradientDescent(1e3)], n_steps=20
    )
    assert page(mixed).facts["runs"] == "● 1 finished, ● 1 diverged"
    assert "last loss" in page(mixed).facts


def test_a_tuning_shows_the_best_rate():
    rates = [0.01, 0.1, 100.0]
    found = dln.tune(PROBLEM, START, dln.GradientDescent(0.1), rates, 1e-2, n_steps=400)
    facts = page(found).facts
    assert facts["learning rates"] == "3, from 0.01 to 100"
    assert facts["best learning rate"] == f"{found.best_learning_rate:g}"
    assert facts["steps there"] == f"{found.best_steps:g}"
    none = dln.tune(PROBLEM, START, dln.GradientDescent(0.1), [1e-9], 1e-2, n_steps=4)
    assert page(none).facts["best learning rate"] == "none reaches the target"
    assert "steps there" not in page(none).facts


def test_a_sweep_shows_its_grid_and_its_first_failure(tmp_path):
    def fails(x, name):
        if x == 1:
            raise ValueError(HOSTILE)
        return {"y": x}

    with pytest.warns(UserWarning, match="failed"):
        sweep = dln.sweep(
            fails, {"x": [0, 1], "name": [HOSTILE]}, store=tmp_path / "sweep", progress=False
        )
    facts = page(sweep).facts
    assert facts["points"] == "● 1 done, ● 1 failed"
    assert facts["x"] == "2: [0, 1]"
    assert HOSTILE in facts["name"]
    assert facts["first failure"] == f"ValueError: {HOSTILE}"
    assert facts["folder"] == str(tmp_path / "sweep")


def problems():
    samples = np.random.default_rng(0).standard_normal((12, 3))
    yield PROBLEM
    yield dln.Regression(samples, samples[:, :2], power=4)
    yield dln.Classification(samples, [f"{HOSTILE}{i % 10}" for i in range(12)])
    yield dln.MatrixCompletion.synthetic((4, 4), rank=1, n_observed=8, rng=0)
    yield dln.MatrixSensing.synthetic((3, 3), rank=1, n_measurements=8, rng=0)
    yield dln.EndToEndLoss(lambda matrix: (0.0, matrix), (3, 2))


@pytest.mark.parametrize("problem", list(problems()), ids=lambda problem: type(problem).__name__)
def test_problems_show_shapes_and_sizes(problem):
    facts = page(problem).facts
    assert facts["shape"] == f"{problem.shape[0]} x {problem.shape[1]}"
    assert len(repr(problem)) < 500
    if problem.n_samples is not None:
        assert str(problem.n_samples) in facts.values()


def test_many_classes_are_not_all_listed():
    problem = dln.Classification(np.eye(50), range(50))
    assert "'5', ...]" in repr(problem)
    assert "'49'" not in repr(problem)


METHODS = [
    *(dln.GradientDescent(0.1), dln.Momentum(0.1, 0.9), dln.GroupRMSprop(0.1), dln.RMSprop(0.1)),
    *(dln.Adam(0.1), dln.AdaGrad(0.1), dln.AdaDelta(), dln.EndToEndDescent(0.1, 3)),
    dln.GradientFlow(),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_a_method_can_be_read_back_from_what_it_shows(method):
    assert eval(repr(method), vars(dln)) == method
    assert page(method).facts


def a_rate(step):
    return 0.1


def test_rates_are_named_and_not_listed():
    rates = np.full(500, 0.1)
    assert "learning_rate=<float64 array of shape (500,)>" in repr(dln.GradientDescent(rates))
    assert f"learning_rate={__name__}.a_rate" in repr(dln.GradientDescent(a_rate))
    assert "<lambda>" in page(dln.GradientDescent(lambda step: 0.1)).facts["learning rate"]


def results():
    yield dln.theory.certificate(
        dln.init.balanced_from(np.eye(2), (2, 2, 2)), dln.TargetMatrix(np.eye(2))
    )
    yield dln.theory.certificate(START, dln.TargetMatrix(np.eye(3)))
    yield dln.theory.balanced_start_certificate(
        (3000, 5, 1), 0.01, dln.TargetMatrix(np.ones((1, 3000)))
    )
    yield dln.theory.singular_velocities(np.diag([3.0, 2.0]), np.eye(2), 2)
    yield dln.theory.single_output_velocity([[1.0, 2.0]], [[1.0, 1.0]], 3)
    yield dln.theory.two_layer_step([[[1.0, 2.0]], [[3.0]]], np.ones((1, 2)), 0.1)
    yield dln.metrics.hessian_extremes(START, PROBLEM)
    yield dln.whiten(np.eye(3), np.eye(3))
    yield dln.baselines.minimum_nuclear_norm(
        dln.MatrixCompletion.synthetic((4, 4), rank=1, n_observed=12, rng=0)
    )


@pytest.mark.parametrize("result", list(results()), ids=lambda result: type(result).__name__)
def test_results_show_numbers_and_the_shapes_of_arrays(result):
    shown = page(result)
    assert len(shown.facts) >= 3
    assert "array(" not in repr(result)
    assert len(repr(result)) < 1000


def test_a_certificate_begins_with_whether_it_holds():
    holds, fails, *_ = results()
    assert next(iter(page(holds).facts.items())) == ("holds", "yes")
    assert "reasons" not in page(holds).facts
    assert page(fails).facts["holds"] == "no"
    reasons = "; ".join(fails.reasons)
    assert page(fails).facts["reasons"] == re.sub("<.*?>", "", as_html(reasons))
    assert repr(fails.reasons) in repr(fails)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(0.5), "0.5"),
        (np.array([1.0, 0.25]), "[1, 0.25]"),
        (np.eye(2, dtype=np.float32), "<float32 array of shape (2, 2)>"),
        ([np.eye(2)] * 8, "[" + "<float64 array of shape (2, 2)>, " * 6 + "...]"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_values_are_shown_briefly(value, text):
    assert brief(value) == text


def test_a_curve_needs_something_to_draw():
    assert sparkline([1.0, np.nan, 0.0, np.inf], "x") == ""
    assert sparkline([1.0, 1.0, 1.0], "x") == ""
    assert "<title>&lt;</title>" in sparkline([1.0, 0.1, 0.01], "<")
