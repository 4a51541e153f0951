"""Compressed runs continued, recorded and asked for: which bits, and in which coordinates."""

import pytest
from compressed_pairs import (
    ENDS,
    EVERYTHING,
    METHODS,
    assert_agree,
    both,
    low_rank,
    regression,
    start,
    target,
)
from helpers import assert_same_bits, assert_same_run

import pydlnet as dln


@pytest.mark.parametrize("wish", [True, "rank"])
@pytest.mark.parametrize("suffix", [None, ".nc", ".zarr"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_continuing_is_bit_for_bit(tmp_path, method, suffix, wish):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    widths = (24, 3, 20, 2, 24)
    record = dln.Record(EVERYTHING, every=10)
    problem = target(widths)

    def go(weights, n_steps, **kwargs):
        return dln.run(problem, weights, method, n_steps=n_steps, record=record, **kwargs)

    whole = go(start(widths), 60, exact_compression=wish)
    part = go(start(widths), 25, exact_compression=wish)
    if suffix:
        part.save(tmp_path / f"part{suffix}")
        part = dln.open(tmp_path / f"part{suffix}")
    continued = go(part, 35)
    assert "d_0 24 -> 5, d_2 20 -> 5" in whole.data.attrs["exact_algebra"]
    assert continued.state.compression.by_rank == (wish == "rank")
    assert_same_run(continued, whole)
    for found, wanted in zip(continued.state.layers, whole.state.layers, strict=True):
        assert_same_bits(found, wanted)


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("n_samples", [7, 200])
def test_regression_continues_bit_for_bit(tmp_path, n_samples, batch_size):
    problem = regression((20, 3, 18), n_samples)
    method = dln.Momentum(0.02, 0.8, batch_size=batch_size)
    record = dln.Record((*EVERYTHING, "reconstruction_error"), every=10)
    whole, part = (
        dln.run(problem, start((20, 3, 18)), method, n_steps=n, record=record, rng=19)
        for n in (60, 25)
    )
    part.save(tmp_path / "part.nc")
    continued = dln.run(problem, dln.open(tmp_path / "part.nc"), n_steps=35)
    assert whole.data.attrs["exact_algebra"].endswith("d_0 20 -> 5, d_2 18 -> 5")
    assert_same_run(continued, whole)


def test_a_run_in_full_coordinates_goes_on_in_them():
    widths = (20, 3, 20)
    whole, part = (
        dln.run(
            target(widths), start(widths), METHODS["momentum"], n_steps=n, exact_compression=False
        )
        for n in (50, 20)
    )
    assert_same_run(dln.run(target(widths), part, n_steps=30), whole)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_leaves_its_coordinates_when_asked_to(name):
    widths = (20, 3, 20)
    compressed, full = both(target(widths), start(widths), METHODS[name], n_steps=100)
    left, expected = (
        dln.run(target(widths), run, n_steps=100, exact_compression=False)
        for run in (compressed, full)
    )
    assert left.data.attrs["exact_algebra"] == "none"
    assert_agree(left, expected)


@pytest.mark.parametrize("name", METHODS)
def test_another_problem_gets_coordinates_of_its_own(name):
    widths = (20, 3, 20)
    other = dln.TargetMatrix(low_rank((20, 20), 18))
    compressed, full = both(target(widths), start(widths), METHODS[name], n_steps=100)
    assert_agree(*(dln.run(other, run, n_steps=100) for run in (compressed, full)))


def test_another_method_begins_in_coordinates_of_its_own():
    widths = (20, 3, 20)
    adam = dln.run(target(widths), start(widths), dln.Adam(0.01), n_steps=30)
    descent = dln.run(target(widths), adam, METHODS["descent"], n_steps=30)
    assert descent.data.attrs["exact_algebra"] == ENDS[widths]
    back = dln.run(target(widths), descent, dln.Adam(0.01), n_steps=30)
    assert back.data.attrs["exact_algebra"] == "none"


def test_functions_of_the_users_get_the_full_network():
    widths = (20, 3, 20)
    seen = []

    def first_layer(weights):
        seen.append([layer.shape for layer in weights])
        assert not any(layer.flags.writeable for layer in weights)
        return weights[0]

    def condition(weights):
        seen.append([layer.shape for layer in weights])
        return False

    record = dln.Record([{"mine": first_layer}, "weights"], every=10)
    stop = dln.Stop(condition=condition, check_every=7)
    run = dln.run(
        target(widths), start(widths), METHODS["descent"], n_steps=35, record=record, stop=stop
    )
    assert run.data.attrs["exact_algebra"] == ENDS[widths]
    assert seen == [[(3, 20), (20, 3)]] * len(seen)
    assert_same_bits(run.data["mine"].values, run.data["W1"].values)
    assert_same_bits(run.data["W1"].values[-1], run.weights[0])


@pytest.mark.parametrize("widths", [(20, 3, 20), (4, 30, 3)], ids=str)
def test_what_is_recorded_changes_no_bit(widths):
    runs = [
        dln.run(target(widths), start(widths), METHODS["momentum"], n_steps=50, record=record)
        for record in (
            dln.Record("loss"),
            dln.Record([*EVERYTHING, {"mine": lambda weights: 1.0}], every=7),
        )
    ]
    for found, wanted in zip(runs[0].weights, runs[1].weights, strict=True):
        assert_same_bits(found, wanted)
    assert runs[0].data.attrs["exact_algebra"] == runs[1].data.attrs["exact_algebra"]
    assert_same_bits(runs[0].data["loss"].values[-1], runs[1].data["loss"].values[-1])


def test_the_start_is_not_modified_and_the_image_is_read_only():
    widths = (20, 3, 20)
    weights = start(widths)
    copies = [layer.copy() for layer in weights]
    run = dln.run(target(widths), weights, METHODS["descent"], n_steps=5)
    for layer, copy in zip(weights, copies, strict=True):
        assert_same_bits(layer, copy)
    with pytest.raises(ValueError, match="read-only"):
        run.weights[0][0, 0] = 1.0


@pytest.mark.parametrize(
    ("value", "error"), [("full", ValueError), (1, TypeError), (None, TypeError)]
)
def test_other_wishes_are_refused(value, error):
    with pytest.raises(error, match="exact_compression: expected True, False or"):
        dln.run(
            target((4, 3)),
            start((4, 3)),
            METHODS["descent"],
            n_steps=1,
            exact_compression=value,
        )
