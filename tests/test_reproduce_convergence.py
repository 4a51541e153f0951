"""The experiments of paper B: what is written, and the outcomes that are known."""

import numpy as np
import pytest
import xarray as xr

import pydlnet as dln
from pydlnet import reproduce
from pydlnet.reproduce import (
    Settings,
    balance,
    guarantee,
    identity_starts,
    start_chances,
    start_scales,
    unbalanced,
)

QUIET = Settings(say=lambda line: None)
GRID = start_scales._Grid((0.003, 0.1, 1.0), (1e-3, 1e-2, 0.03, 0.1, 0.3), 2, (100, 600))
LIMIT = GRID.limits[-1]


@pytest.fixture(scope="module")
def scales():
    """Return a part on few deviations, rates and steps, with the paper's widths."""
    return start_scales._part(GRID, QUIET)


def best_steps(part, kind, depth):
    """Return the median best steps for each deviation, infinite if not reached."""
    return np.median(
        part.data["best_steps"].sel(kind=kind, depth=depth).fillna(np.inf).values, axis=1
    )


def test_every_part_runs_and_can_be_written(tmp_path, monkeypatch):
    tiny = {
        start_scales: start_scales._Grid((0.1, 0.3), (0.1,), 1, (5, 10), hidden=4),
        guarantee: guarantee._Grid((2,), (0.1, 0.5), 1, 100),
        start_chances: start_chances._Grid(50, 10),
        identity_starts: identity_starts._Grid((2, 4), 1, 50, size=2),
    }
    for module, grid in tiny.items():
        monkeypatch.setattr(module, "_DEFAULT", grid)
    # What `write` does with a part is tested in test_reproduce; layouts take their time.
    result = reproduce.convergence(seed=2, say=lambda line: None)
    names = [
        "start_scales", "balance", "guarantee", "start_chances", "unbalanced", "identity_starts",
    ]  # fmt: skip
    assert [part.name for part in result.parts] == names
    for part in result.parts:
        part.data.to_netcdf(tmp_path / f"{part.name}.nc", engine="h5netcdf")
        assert all(v.attrs.get("long_name") for v in part.data.data_vars.values()), part.name
        part.figure.savefig(tmp_path / f"{part.name}.png", dpi=40)
        assert part.outcomes
    assert "random direction" in result.summary


def test_layer_wise_starts_converge_in_a_window_and_balanced_ones_everywhere(scales):
    assert best_steps(scales, "layer-wise", 3)[1] < 100
    assert best_steps(scales, "layer-wise", 3)[2] == np.inf
    assert best_steps(scales, "layer-wise", 8)[1] < 500
    assert best_steps(scales, "layer-wise", 8)[[0, 2]].tolist() == [np.inf, np.inf]
    assert (best_steps(scales, "balanced", 3) <= LIMIT).all()
    assert (best_steps(scales, "balanced", 8)[:2] <= LIMIT).all()
    # Balance alone is not what helps at depth 8: the layer-wise product is too small or too large.
    assert best_steps(scales, "rebalanced", 8)[[0, 2]].tolist() == [np.inf, np.inf]


def test_medians_are_told_from_single_starts():
    steps = np.array([[100.0, 120.0, 2000.0], [900.0, 900.0, 900.0], [70.0, 80.0, np.nan]])
    data = xr.Dataset(
        {"best_steps": (("kind", "depth", "deviation", "start"), steps[np.newaxis, np.newaxis])},
        {"kind": ["balanced"], "depth": [3], "deviation": [0.1, 0.3, 1.0]},
        {"largest_step": 10_000},
    )
    assert start_scales._measured(data, "balanced", 3) == (
        "median of 3 starts at most 500 steps at 2 of 3 stds between 0.1 and 1; "
        "fewest at 1: 75 (70 to 80, n = 2; 1 of 3 not reached); "
        "median converged within 10,000 steps at 3 of 3 stds between 0.1 and 1, at most 900 "
        "(single starts at most 2,000, 1 of 9 not converged)"
    )


@pytest.mark.parametrize("kind", ["layer-wise", "balanced", "rebalanced"])
@pytest.mark.parametrize("depth", [3, 8])
def test_the_steps_are_those_of_single_runs_of_the_full_network(scales, kind, depth):
    problem, _ = start_scales.target(QUIET)
    start = start_scales._starts(depth, problem, GRID, 0)[kind][2]
    found = scales.data.sel(kind=kind, depth=depth).isel(deviation=1, start=0)
    method = dln.GradientDescent(float(found["best_rate"]))
    trajectory = dln.run(
        problem, start, method, n_steps=LIMIT, stop=dln.Stop(loss=1e-5),
        exact_compression=False, progress=False,
    )  # fmt: skip
    assert trajectory.status == "converged"
    assert trajectory.data["step"].values[-1] == found["best_steps"]


@pytest.mark.parametrize("depth", [2, 3, 8])
def test_what_is_proven_to_stay_small_does(depth):
    widths = (6, *[4] * (depth - 1), 1)
    problem = dln.TargetMatrix(np.eye(1, 6))
    proven = 0
    for number in range(40):
        rng = np.random.default_rng([depth, number])
        start = dln.init.gaussian(widths, std=rng.choice([1e-4, 1e-2, 0.1, 0.3]), rng=rng)
        trajectory = dln.run(
            problem, start, dln.GradientDescent(0.1), n_steps=1000, stop=dln.Stop(loss=1e-5),
            progress=False,
        )  # fmt: skip
        stays = start_scales._stays_small(start, 0.1 * 1000)
        proven += stays
        assert not (stays and trajectory.status == "converged")
    assert depth == 2 or proven > 0


def test_the_target_is_whitened_and_of_norm_1():
    problem, used = start_scales.target(Settings(seed=4))
    assert problem.target.shape == (1, 128)
    assert np.linalg.norm(problem.target) == pytest.approx(1.0, rel=1e-14)
    assert "random direction" in used


def test_layers_grow_away_from_their_imbalance():
    part = balance.part(QUIET)
    data = part.data
    assert (data["final_ratio"] < 1e-2).all()
    for start, step in enumerate(data["last_step"].values):
        first, last = (data.isel(start=start).sel(step=k) for k in (0, step))
        # Exact for the flow; steps change it by second order in the rate only.
        assert float(last["imbalance"]) == pytest.approx(float(first["imbalance"]), rel=0.02)
        assert last["loss"] <= 1e-5
    assert part.outcomes[0].agrees is None  # at the start the imbalance is the larger one


def test_all_bounds_of_theorem_1_hold_at_every_record():
    part = guarantee._part(guarantee._Grid((2, 3), (0.05, 0.5), 2, 3000), QUIET)
    assert part.data["guaranteed"].values.all()
    assert part.data["n_bounds"].values.min() > 6 * 40
    assert (part.data["n_held"] == part.data["n_bounds"]).all()
    assert (part.data["decay"] >= part.data["decay_bound"]).all()
    assert (part.data["largest_rate"] > 1e4 * part.data["rate"]).all()
    assert [outcome.agrees for outcome in part.outcomes] == [True, True, None, None]


def test_random_starts_meet_the_conditions_as_often_as_proven():
    part = start_chances._part(start_chances._Grid(4000, 300), QUIET)
    assert all(outcome.agrees for outcome in part.outcomes)
    # The margins by their definition, from starts of the package.
    n_inputs, a, n_starts = 20, 18.0, 2000
    scale = 1.0 / (np.sqrt(a) * n_inputs)
    target = np.eye(1, n_inputs)
    rng = np.random.default_rng(8)
    products = [
        dln.chain.product(dln.init.balanced((n_inputs, 1, 1), scale, rng)) for _ in range(n_starts)
    ]
    margins = np.array([1.0 - np.linalg.norm(product - target) for product in products])
    share = np.mean(margins >= 0.5 * scale**2 * n_inputs)
    found = float(part.data["margin_share"].sel(n_inputs=n_inputs, a=a))
    assert share == pytest.approx(found, abs=5 * np.sqrt(0.25 / n_starts + 0.25 / 4000))


def test_unbalanced_starts_diverge_and_their_balanced_twins_converge():
    part = unbalanced.part(QUIET)
    assert part.data["diverged"].values.all()
    assert part.data["rises"].values.all()
    assert (part.data["deficiency_margin"].values > 0.0).all()
    assert (part.data["balancedness"].values > 1.0).all()
    assert (part.data["balanced_final_loss"].values < 1e-6).all()
    assert [outcome.agrees for outcome in part.outcomes] == [True, True]


def test_identity_starts_stay_above_the_floor_unless_rounding_grows():
    part = identity_starts._part(identity_starts._Grid((2, 4), 2, 10_000, size=3), QUIET)
    left = part.data["left_at"]
    deep = left.sel(depth=4)
    assert deep.sel(family="below").isnull().all()
    assert deep.sel(family="above").notnull().all()
    # Two equal layers remain each other's transposes; a difference of one rounding is enough.
    assert left.sel(depth=2, begin="identity").isnull().all()
    assert left.sel(depth=2, begin="off by one rounding").notnull().all()
    assert [outcome.agrees for outcome in part.outcomes] == [None, None, True, None]


def test_identity_starts_follow_exact_arithmetic_where_they_stay():
    part = identity_starts._part(identity_starts._Grid((4,), 2, 10_000, size=3), QUIET)
    data = part.data.sel(depth=4, family="below", begin="identity")
    np.testing.assert_allclose(data["loss"].values, data["exact_loss"].values, rtol=1e-9)
    assert (data["exact_loss"] >= data["loss_floor"]).all()
