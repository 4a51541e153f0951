"""What goes into a store, what comes out of it, and when a run may go on in one."""

import dataclasses

import numpy as np
import pytest
import victims
import xarray as xr
from helpers import assert_same_run, network
from small_run import PROBLEM, WIDTHS, run

import pydlnet as dln
from pydlnet.storage import stores
from pydlnet.storage.columns import open_column


@pytest.fixture
def small_chunks(monkeypatch):
    """Fill many chunks with few records, and commit after every slice."""
    monkeypatch.setattr(stores, "BYTES_A_CHUNK", 2**11)
    monkeypatch.setattr(stores, "SECONDS_A_COMMIT", 0.0)
    monkeypatch.setattr(stores, "SHARE_OF_COMMITS", 0.0)


# -- What is kept --


@pytest.mark.parametrize("name", victims.NAMES)
@pytest.mark.usefixtures("small_chunks")
def test_a_store_changes_nothing(name, store):
    whole = victims.run(name)
    kept = victims.run(name, store)
    assert_same_run(kept, whole)
    assert_same_run(dln.open(store, verify=True), whole)


def test_every_quantity_in_a_store(store, small_chunks):
    problem = dln.MatrixCompletion.synthetic((3, 4), 1, n_observed=9, rng=1, held_out=2)
    record = dln.Record(
        [
            *("loss", "reconstruction_error", "held_out_error", "gradient_norm", "learning_rate"),
            *("singular_values", "singular_vectors", "effective_rank", "stable_rank"),
            *("nuclear_norm", "imbalance", "layer_norms", "layer_singular_values", "end_to_end"),
            *("weights", "sharpness", "hessian_min", "alignment"),
            {"count": lambda weights: np.int32(len(weights)), "odd": lambda weights: np.bool_(1)},
        ],
        every=3,
    )
    whole = run(40, problem=problem, record=record)
    assert_same_run(run(40, problem=problem, record=record, store=store), whole)


@pytest.mark.parametrize("depth", [1, 2])
def test_shallow_and_single_precision_runs(depth, store):
    weights = network((4, *(6,) * (depth - 1), 3), dtype=np.float32)
    record = dln.Record(["loss", "imbalance", "weights"], every=1)
    whole = run(5, weights=weights, record=record)
    kept = run(5, weights=weights, record=record, store=store)
    assert kept.data["W1"].dtype == np.float32
    assert_same_run(kept, whole)


def test_data_is_read_when_it_is_used(store, small_chunks):
    data = run(2_000, record=dln.Record(["loss", "weights"], every=1), store=store).data
    assert not data["W1"].variable._in_memory
    whole = run(2_000, record=dln.Record(["loss", "weights"], every=1)).data
    chunk = open_column(store / "W1").chunk_length
    assert chunk < 20
    keys = [
        *(0, -1, chunk, slice(None), slice(chunk - 1, chunk + 2), slice(None, None, 7)),
        *(slice(None, None, -3), slice(1995, None), [3, 1999, 5], np.array([2000, 0, 2000])),
        *(slice(5, 5), slice(-3, -1), []),
    ]
    for key in keys:
        for rest in ((), (slice(1, 3),), (2, [0, 3]), ([4, 1], slice(None, None, 2))):
            ours, theirs = (part["W1"][key, *rest].values for part in (data, whole))
            np.testing.assert_array_equal(ours, theirs, f"{key} {rest}")
    points = xr.DataArray([0, 1999, 2000], dims="p"), xr.DataArray([0, 5, 1], dims="p")
    np.testing.assert_array_equal(data["W1"][points].values, whole["W1"][points].values)


def test_a_store_is_a_zarr_group_for_everybody(store):
    kept = run(50, record=dln.Record(["loss", "weights"], every=7), store=store)
    with xr.open_zarr(store) as found:
        assert set(found.coords) == set(kept.data.coords)
        for name, variable in kept.data.variables.items():
            np.testing.assert_array_equal(found[name].values, variable.values)
            assert found[name].attrs == variable.attrs
        assert found.attrs["status"] == "finished"


def test_memory_holds_one_chunk_only(store, small_chunks):
    """Blocks that are full leave the process: what is kept is far less than what was recorded."""
    kept = []
    original = stores.RunStore.append

    def append(self, rows):
        original(self, rows)
        kept.append(sum(part.nbytes for parts in self._tail.values() for part in parts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.RunStore, "append", append)
        run(20_000, record=dln.Record(["loss", "singular_values"], every=1), store=store)
    assert kept
    assert max(kept) <= 2 * stores.BYTES_A_CHUNK


# -- Going on --


@pytest.mark.parametrize("name", victims.NAMES)
@pytest.mark.usefixtures("small_chunks")
def test_ending_later_equals_one_run(name, store):
    whole = victims.run(name)
    end = victims.place(whole)
    # Not on the schedule: what is recorded there goes when the run goes on.
    for part in (end * 0.3337, end * 0.6789, end):
        kept = victims.run(name, store, end=part if name == "flow" else int(part))
        dln.open(store, verify=True)
    assert_same_run(kept, whole)
    assert_same_run(dln.open(store, verify=True), whole)


def test_calling_again_returns_what_is_there(store):
    calls = []

    def watch(weights):
        calls.append(1)
        return 0.0

    record = dln.Record(["loss", {"watch": watch}])
    first = run(30, record=record, store=store)
    n_calls = len(calls)
    again = run(30, record=record, store=store)
    assert_same_run(again, first)
    assert len(calls) <= n_calls + 1  # to see its shape


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (dln.Stop(loss=1.0), "converged"),
        (dln.Stop(gradient_norm=0.5, check_every=7), "converged"),
        (dln.Stop(condition=lambda weights: True, check_every=10), "converged"),
    ],
)
def test_a_run_that_has_converged_has(stop, status, store):
    first = run(3_000, stop=stop, store=store)
    assert first.status == status
    assert_same_run(run(3_000, stop=stop, store=store), first)
    assert_same_run(run(4_000, store=store), run(4_000))


def test_a_run_that_has_diverged_has(store):
    method = dln.GradientDescent(1e3)
    record = dln.Record(["loss", {"whole": lambda weights: np.int64(2**60 + 1)}], every=1)
    whole = run(200, method=method, record=record)
    assert whole.status == "diverged"
    kept = run(200, method=method, record=record, store=store)
    assert_same_run(kept, whole)
    assert_same_run(run(300, method=method, record=record, store=store), whole)
    assert_same_run(dln.open(store, verify=True), whole)


def test_going_on_with_a_trajectory_in_a_new_store(store):
    record = dln.Record(["loss", "layer_norms"], every=4)
    first = run(10, method=dln.Momentum(0.01, 0.9), record=record)
    whole = dln.run(PROBLEM, first, n_steps=20)
    kept = dln.run(PROBLEM, first, n_steps=30, store=store)
    assert_same_run(kept, whole)
    assert_same_run(dln.run(PROBLEM, first, n_steps=30, store=store), whole)
    with pytest.raises(ValueError, match="another start"):
        dln.run(PROBLEM, dln.run(PROBLEM, first, n_steps=1), n_steps=30, store=store)


def test_a_store_goes_on_in_memory(store):
    kept = run(10, method=dln.Momentum(0.01, 0.9), store=store)
    whole = run(30, method=dln.Momentum(0.01, 0.9))
    for earlier in (kept, dln.open(store)):
        assert_same_run(dln.run(PROBLEM, earlier, n_steps=20), whole)


def test_a_store_can_be_saved_as_a_file(store, tmp_path):
    kept = run(10, store=store)
    for name in ("one.nc", "one.zarr"):
        kept.save(tmp_path / name)
        assert_same_run(dln.open(tmp_path / name), kept)


# -- What is refused --


def other_record():
    return dln.Record(["loss", "end_to_end"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": dln.TargetMatrix(np.ones((3, 4)))}, ["problem", "digest="]),
        ({"method": dln.GradientDescent(0.06)}, ["method", "learning_rate=0.05", "0.06"]),
        ({"method": dln.Momentum(0.05, 0.9)}, ["method", "kind='GradientDescent'", "Momentum"]),
        ({"weights": network(WIDTHS, seed=3)}, ["start"]),
        ({"weights": network((4, 5, 3))}, ["widths", "[4, 6, 3]", "[4, 5, 3]"]),
        ({"weights": network(WIDTHS, seed=2, dtype=np.float32)}, ["dtype", "float64", "float32"]),
        ({"record": other_record()}, ["record", "end_to_end"]),
        ({"record": dln.Record(every=2)}, ["record", "every"]),
        ({"exact_compression": False}, ["exact_compression", "True", "False"]),
        ({"rng": 1}, ["seed", "rng=0", "got 1"]),
    ],
)
def test_a_store_of_another_run_is_refused(change, words, store):
    run(10, store=store)
    with pytest.raises(ValueError, match="was written") as caught:
        run(20, store=store, **change)
    for word in (str(store), *words):
        assert word in str(caught.value)
    assert dln.open(store, verify=True).step == 10


def test_a_drawn_seed_is_that_of_the_store(store):
    samples = np.random.default_rng(0).standard_normal((20, 4))
    problem = dln.Regression(samples, samples[:, :3])
    method = dln.GradientDescent(0.01, batch_size=6)
    first = run(10, method, problem=problem, rng=None, store=store)
    kept = run(20, method, problem=problem, rng=None, store=store)
    assert_same_run(kept, run(20, method, problem=problem, rng=first.state.seed))


def test_another_layout_is_refused(store, monkeypatch):
    run(10, store=store)
    monkeypatch.setattr("pydlnet.storage.identity.LAYOUT", 99)
    for call in (lambda: dln.open(store), lambda: run(20, store=store)):
        with pytest.raises(ValueError, match="layout") as caught:
            call()
        assert "99" in str(caught.value)


@pytest.mark.parametrize("key", ["version", "instruction_set"])
def test_another_build_is_warned_of(key, store, monkeypatch):
    run(10, store=store)
    target = {"version": "VERSION", "instruction_set": "_core"}[key]
    other = "0.0.0" if key == "version" else dataclasses.make_dataclass("Core", ["ISA"])("v0")
    monkeypatch.setattr(f"pydlnet.storage.identity.{target}", other)
    with pytest.warns(UserWarning, match=key.replace("_", " ")):
        run(20, store=store)


def test_steps_are_absolute(store):
    run(10, store=store)
    with pytest.raises(ValueError, match=r"n_steps: expected at least 10.*got 9"):
        run(9, store=store)


@pytest.mark.parametrize("name", ["run", "run.nc", "run.zarr.gz"])
def test_a_store_has_a_name_that_says_so(name, tmp_path):
    with pytest.raises(ValueError, match=r"store: expected a name ending in \.zarr"):
        run(1, store=tmp_path / name)


def test_nothing_else_is_overwritten(tmp_path):
    file = tmp_path / "file.zarr"
    file.write_text("mine")
    folder = tmp_path / "folder.zarr"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    saved = tmp_path / "saved.zarr"
    run(1).save(saved)
    for path in (file, folder, saved):
        with pytest.raises(ValueError, match="store: expected a store or nothing"):
            run(1, store=path)
    assert file.read_text() == (folder / "mine").read_text() == "mine"
    assert dln.open(saved).step == 1
    with pytest.raises(FileNotFoundError, match="store: expected an existing folder"):
        run(1, store=tmp_path / "nowhere" / "run.zarr")


def test_an_empty_folder_becomes_a_store(store):
    store.mkdir()
    assert run(3, store=store).step == 3


def test_another_array_of_the_same_name_is_not_taken_for_a_store(store):
    mine = xr.Dataset({"pydlnet": ("x", [1.0, 2.0]), "other": ("x", [3.0, 4.0])})
    mine.to_zarr(store, consolidated=False)
    files = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="store: expected a store or nothing"):
        run(1, store=store)
    with pytest.raises(ValueError, match=r"path: .* trajectory"):
        dln.open(store)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == files


def test_a_quantity_cannot_have_the_name_of_what_a_store_keeps(store):
    record = dln.Record(["loss", {"pydlnet": lambda weights: 1.0}])
    with pytest.raises(ValueError, match="record: the name 'pydlnet' is taken by the store"):
        run(1, record=record, store=store)


def test_a_link_to_nothing_is_something_else(store, tmp_path):
    store.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="store: expected a store or nothing"):
        run(1, store=store)


def test_a_link_to_a_store_is_one(store, tmp_path):
    store.symlink_to(tmp_path / "real.zarr")
    (tmp_path / "real.zarr").mkdir()
    run(3, store=store)
    assert dln.open(tmp_path / "real.zarr").step == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_steps": -1}, ValueError, "n_steps: expected an integer >= 0"),
        ({"n_steps": "3"}, TypeError, "n_steps: expected an integer"),
        ({"n_steps": None}, TypeError, "n_steps: expected the number of steps"),
        ({"until": 2.0}, ValueError, "until: expected a GradientFlow"),
        ({"record": dln.Record(times=[1.0])}, ValueError, "record: expected steps"),
    ],
)
def test_bad_arguments_leave_no_store_and_count_when_a_run_is_over(
    arguments, error, message, store
):
    with pytest.raises(error, match=message):
        run(**{"n_steps": 10, **arguments}, store=store)
    assert not store.exists()
    over = {"stop": dln.Stop(loss=1e9)}
    assert run(10, **over, store=store).status == "converged"
    with pytest.raises(error, match=message):
        run(**{"n_steps": 10, **over, **arguments}, store=store)


def test_verify_is_a_bool(store):
    with pytest.raises(TypeError, match="verify"):
        dln.open(store, verify="yes")


def test_to_go_on_in_a_store_is_to_call_it_as_at_first(store):
    run(10, store=store)
    with pytest.raises(ValueError, match=r"start .*if it is called as it was at first"):
        run(20, weights=dln.open(store), store=store)
