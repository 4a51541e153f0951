"""`pydlnet reproduce low-rank`: what must come out, and what is written."""

import numpy as np
import pytest
import xarray as xr

import pydlnet as dln
from pydlnet import reproduce
from pydlnet.reproduce import completion, mode_paths, recovery, sensing
from pydlnet.reproduce.recovery import Grid
from pydlnet.reproduce.report import Settings

from . import reference

QUIET = Settings(say=lambda line: None)
TINY = Grid(10, 1, (60, 90), (1e-1, 1e-2), n_seeds=2, max_steps=20)


@pytest.fixture(scope="module")
def completed():
    """Return the part for a grid that is the paper's in small."""
    return completion.part(QUIET, Grid(30, 2, (270, 600), (1e-3,), n_seeds=2))


def rows_of(part, text):
    """Return the outcomes whose claim has the text, at least one."""
    rows = [outcome for outcome in part.outcomes if text in outcome.claim]
    assert rows
    return rows


@pytest.mark.facts
def test_deeper_networks_complete_few_entries_at_lower_rank_and_larger_norm(completed):
    few = completed.data.sel(observations=270)
    error, rank = few["reconstruction_error"], few["effective_rank"]
    for depth in (3, 4):
        assert (error.sel(depth=depth) < 1e-2 * error.sel(depth=2)).all()
        assert (error.sel(depth=depth) < 1e-1 * few["baseline_reconstruction_error"]).all()
        assert (rank.sel(depth=depth) < rank.sel(depth=2)).all()
        assert (rank.sel(depth=depth) < few["baseline_effective_rank"]).all()
        assert (few["nuclear_norm"].sel(depth=depth) > few["baseline_nuclear_norm"]).all()
    assert (error.sel(depth=1) > 0.3).all()  # what depth 1 does not see stays near zero
    assert all(row.agrees for row in rows_of(completed, "270 observations"))


@pytest.mark.facts
def test_with_many_entries_all_agree(completed):
    many = completed.data.sel(observations=600, depth=[2, 3, 4])
    assert float(many["reconstruction_error"].max()) < 1e-4
    assert float(abs(many["nuclear_norm"] / many["baseline_nuclear_norm"] - 1.0).max()) < 1e-2
    assert all(row.agrees for row in rows_of(completed, "600 observations"))
    assert rows_of(completed, "starts of Frobenius norm 0.0055")  # 1e-3 30^(1/2), as in the figure
    assert (completed.data["loss"] <= recovery.LOSS).all()
    assert (completed.data["baseline_relative_gap"] <= 1e-7).all()


def test_the_table_says_no_where_the_paper_is_not_met(completed):
    data = completed.data.copy(deep=True)
    data["reconstruction_error"].loc[{"depth": 3}] = 0.5
    data["effective_rank"].loc[{"depth": 3}] = 2.0 * data["effective_rank"].sel(depth=2)
    data["nuclear_norm"].loc[{"depth": 3}] = 0.9 * data["baseline_nuclear_norm"]
    data["loss"].loc[{"depth": 3}] = 1.0
    rows = completion.recovery_outcomes.outcomes(data, "completion")
    refuted = [row for row in rows if "depth 4" not in row.claim]
    assert [row.agrees for row in refuted] == [False] * len(refuted)
    assert all(row.agrees for row in rows if "depth 4" in row.claim)


def test_the_grid_says_where_each_network_ends():
    part = completion.part(QUIET, TINY)
    data = part.data
    assert data["loss"].dims == ("observations", "depth", "init_scale", "seed")
    for place in ((0, 1, 0, 1), (1, 3, 1, 0)):
        count, depth, scale = (
            coordinate.values[i].item()
            for coordinate, i in zip(
                (data["observations"], data["depth"], data["init_scale"]), place, strict=False
            )
        )
        rng = np.random.default_rng((0, place[3]))
        problem = dln.MatrixCompletion.synthetic((10, 10), 1, count, rng)
        start = recovery.start(TINY, depth, scale, (0, place[3]))
        assert start[0].dtype == np.float32
        trajectory = dln.run(problem, start, dln.GroupRMSprop(1e-3, epsilon=5e-5), n_steps=20)
        loss = float(trajectory.data["loss"][-1])
        assert data["loss"].values[place] == pytest.approx(loss, rel=1e-5)
        product = reference.product([layer.astype(np.float64) for layer in trajectory.weights])
        error = np.mean((product - problem.ground_truth) ** 2)
        # The ensemble and the single run round in float32, each in its own order.
        assert data["reconstruction_error"].values[place] == pytest.approx(error, rel=1e-5)
        assert data["steps"].values[place] == 20


def test_the_path_is_that_of_the_published_epsilon_on_the_loss_without_a_half():
    problem = dln.MatrixCompletion.synthetic((10, 10), 1, 60, rng=0)

    def mean_square(product):
        value, gradient = problem.value_and_gradient(product)
        return 2.0 * value, 2.0 * gradient

    published = dln.GroupRMSprop(1e-3, decay=0.99, epsilon=1e-4)
    # So near zero that the gradients are smaller than epsilon.
    start = dln.init.gaussian((10, 10, 10), 1e-8, rng=1)
    theirs = dln.run(dln.EndToEndLoss(mean_square, (10, 10)), start, published, n_steps=100)
    ours = dln.run(problem, start, recovery.method(1e-3), n_steps=100)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert theirs.data["loss"][-1] == pytest.approx(2.0 * float(ours.data["loss"][-1]))


def test_networks_that_step_together_go_where_each_goes_alone():
    grid = Grid(6, 1, (25,), (1e-1, 1e-2), n_seeds=1)
    problem = dln.MatrixSensing.synthetic((6, 6), 1, 25, rng=0)

    def starts():
        return [
            recovery.start(grid, depth, scale, (0, 0)) for depth in (1, 3) for scale in grid.scales
        ]

    together = sensing.descend_together(problem, starts(), 1e-2, 1500)
    assert sum(member.loss <= recovery.LOSS for member in together) >= 2
    for member, start in zip(together, starts(), strict=True):
        alone = dln.run(
            problem, start, recovery.method(1e-2), n_steps=1500,
            stop=dln.Stop(loss=recovery.LOSS), progress=False,
        )  # fmt: skip
        assert (member.loss <= recovery.LOSS) == (alone.status == "converged")
        # In float32 the paths drift apart by rounding, by a few steps out of thousands.
        assert member.step == pytest.approx(alone.step, rel=2e-2)
        for a, b in zip(member.layers, alone.weights, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-2 * np.abs(b).max())
    few = sensing.descend_together(problem, starts(), 1e-2, 3)
    for member, start in zip(few, starts(), strict=True):
        alone = dln.run(problem, start, recovery.method(1e-2), n_steps=3, progress=False)
        assert member.step == 3
        assert member.loss == pytest.approx(float(alone.data["loss"][-1]), rel=1e-5)
        for a, b in zip(member.layers, alone.weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_large_sensing_problems_are_run_together(monkeypatch):
    grid = Grid(6, 1, (25, 34), (1e-1,), n_seeds=2, learning_rate=1e-2, max_steps=30)
    apart = sensing.part(QUIET, grid).data
    lines = []
    monkeypatch.setattr(sensing, "_CACHE", 0)
    together = sensing.part(Settings(say=lines.append), grid).data
    for name in ("loss", "reconstruction_error", "effective_rank", "nuclear_norm", "steps"):
        np.testing.assert_allclose(together[name], apart[name], rtol=1e-3)
    # The time for all of them is announced once, before the first networks run.
    assert ["minutes" in line for line in lines] == [False, True, False, False, False]


@pytest.mark.facts
def test_singular_values_follow_theorem_3_and_separate_with_depth():
    part = mode_paths.part(QUIET, mode_paths.Case(20, 2, 160))
    assert all(row.agrees for row in rows_of(part, "Theorem 3"))
    assert rows_of(part, "number 3 over number 2")[0].agrees
    path = part.data.sel(depth=3).dropna("step", how="all", subset=["loss"])
    value, predicted = (
        path["singular_value"].values[1:],
        path["predicted_singular_value"].values[1:],
    )
    large = value > 1.0
    assert np.median(np.abs(predicted / value - 1.0)[large]) < 1e-3
    # Of the modes, the largest at the end come first.
    assert (np.diff(path["singular_value"].values[-1]) <= 0.0).all()
    np.testing.assert_allclose(
        path["singular_value"].values[-1, :2], path["true_singular_value"].values[:2], rtol=0.1
    )


def test_the_gradient_is_split_into_diagonal_and_rest():
    problem = dln.MatrixCompletion.synthetic((6, 6), 1, 20, rng=1)
    start = dln.init.balanced((6, 6, 6), 0.3, rng=2)
    names = ("singular_values", "singular_vectors", "end_to_end")
    data = dln.run(
        problem, start, dln.GradientDescent(0.1), n_steps=1, record=dln.Record(names)
    ).data
    coupling = mode_paths._couplings(problem, data)
    product = reference.product(start)
    seen = np.zeros((6, 6))
    seen[problem.rows, problem.columns] = 1.0
    gradient = seen * (product - problem.ground_truth) / 20
    left, _, right = np.linalg.svd(product)
    inner = np.abs(left.T @ gradient @ right.T)
    assert coupling["diagonal"][1][0] == pytest.approx(np.trace(inner) / 6)
    off = (inner.sum() - np.trace(inner)) / 30
    assert coupling["off_diagonal"][1][0] == pytest.approx(off)


def test_all_parts_are_written(tmp_path, monkeypatch):
    for module in (completion, sensing):
        monkeypatch.setattr(module, "DEFAULT", TINY)
    monkeypatch.setattr(mode_paths, "DEFAULT", mode_paths.Case(10, 1, 60))
    monkeypatch.setattr(mode_paths, "_MAX_STEPS", 300)
    report = reproduce.low_rank(tmp_path, seed=2, threads=2, say=lambda line: None)
    names = ["singular_values", "completion", "sensing"]
    assert [part.name for part in report.parts] == names
    for name in names:
        with xr.open_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") as data:
            assert data.attrs["seed"] == 2
            for variable in data.data_vars.values():
                assert {"long_name", "units", "reference"} <= set(variable.attrs)
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / f"{name}.svg").exists()
    assert "- seed: 2" in (tmp_path / "summary.md").read_text()


def test_the_full_grid_is_the_papers(monkeypatch):
    asked = []
    for module in (completion, sensing):
        monkeypatch.setattr(module, "part", lambda settings, grid, *name: asked.append(grid))
    monkeypatch.setattr(mode_paths, "part", lambda settings, case: None)
    list(reproduce.EXPERIMENTS["low-rank"].parts(Settings(full=True)))
    assert {grid.learning_rate for grid in asked} == {1e-3, 3e-4}
    for grid in asked:
        assert (grid.size, grid.rank, grid.observations) == (100, 5, (2000, 5000))
        assert grid.scales == (1e-3, 1e-4, 1e-5, 1e-6)
        assert grid.depths == (1, 2, 3, 4)
