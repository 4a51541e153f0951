"""Saved trajectories that lost a part, or a bit."""

import numpy as np
import pytest
from helpers import assert_same_run, network
from small_completion import completion_run

import pydlnet as dln
from pydlnet.storage import saved

SUFFIXES = [".nc", ".zarr"]


@pytest.mark.parametrize(
    "chunk", ["state/weights_0/c/0/0", "state/numbers/c/0", "loss/c/0", "step/c/0"]
)
def test_a_missing_chunk_is_an_error_and_not_nan(tmp_path, chunk):
    pytest.importorskip("zarr")
    run = dln.run(
        dln.TargetMatrix(np.zeros((3, 3))), [np.zeros((3, 3))], dln.GradientDescent(0.1), n_steps=5
    )
    run.save(tmp_path / "a.zarr")
    dln.open(tmp_path / "a.zarr")  # zeros are chunks, too
    (tmp_path / "a.zarr" / chunk).unlink()
    with pytest.raises(ValueError, match="damaged"):
        dln.open(tmp_path / "a.zarr")


def test_a_file_without_its_state_is_an_error(tmp_path):
    h5py = pytest.importorskip("h5py")
    run = dln.run(dln.TargetMatrix(np.eye(3)), network((3, 3)), dln.GradientDescent(0.1), n_steps=5)
    for broken in ("state", "state/weights_0"):
        run.save(tmp_path / "a.nc")
        with h5py.File(tmp_path / "a.nc", "a") as file:
            del file[broken]
        with pytest.raises(ValueError, match=r"damaged.*"):
            dln.open(tmp_path / "a.nc")


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_bit_is_an_error_wherever_it_is(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    completion_run(5, record=dln.Record(["loss", "weights"], every=1))[1].save(path)
    files = [path] if suffix == ".nc" else [file for file in path.rglob("*") if file.is_file()]
    draws = np.random.default_rng(0)
    for file in files:
        content = file.read_bytes()
        # Also in the digest at the end.
        places = {*draws.integers(len(content), size=400 // len(files)), len(content) - 1}
        for place in places:
            file.write_bytes(flipped(content, int(place), int(draws.integers(8))))
            with pytest.raises(ValueError, match=f"run{suffix} is damaged"):
                dln.open(path)
        file.write_bytes(content)
    assert dln.open(path).status == "finished"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_digest_that_is_missing_or_no_digest_is_an_error(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    completion_run(5)[1].save(path)
    sealed = path if suffix == ".nc" else path / saved.DIGEST_FILE
    content = sealed.read_bytes()
    mark = content.index(saved.DIGEST_MARK)
    for wrong in (content[:mark], content[:-1], flipped(content, mark + 3, 0), content + b"\n"):
        sealed.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"run{suffix} is damaged"):
            dln.open(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_trajectories_from_before_there_were_digests_open(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"run{suffix}"
    _, trajectory = completion_run(5)
    with monkeypatch.context() as earlier:
        earlier.setattr(saved, "LAYOUT", saved.LAYOUT_WITHOUT_DIGEST)
        earlier.setattr(saved, "_seal", lambda *_: None)
        trajectory.save(path)
    assert_same_run(dln.open(path), trajectory)


def test_a_store_that_has_a_file_less_is_damaged(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "run.zarr"
    completion_run(5)[1].save(path)
    for file in [file for file in path.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(ValueError, match=r"run\.zarr"):
            dln.open(path)
        file.write_bytes(content)
    dln.open(path)
