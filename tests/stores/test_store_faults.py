"""Stores and everything that can go wrong around them."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import victims
from helpers import assert_same_run
from small_run import run

import pydlnet as dln
from pydlnet.storage import stores

OFTEN = dln.Record(["loss", "singular_values", "weights"], every=1)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(stores, "BYTES_A_CHUNK", 2**13)
    monkeypatch.setattr(stores, "SECONDS_A_COMMIT", 0.0)
    monkeypatch.setattr(stores, "SHARE_OF_COMMITS", 0.0)


def wait_for(condition, process=None, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.poll() is None, "the process has ended"
        time.sleep(0.01)


@contextmanager
def run_without_end(store):
    """Give a process of Python that runs until it is stopped, once it has committed."""
    code = (
        "import victims, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "victims.commit_always()\n"
        f"t = victims.run('descent', {str(store)!r}, victims.LONG)\n"
        "print(t.status, t.step)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for((store / "pydlnet" / "commit").exists, process)
            yield process
        finally:
            process.kill()


def assert_goes_on_like_one(store):
    """Compare what the victim goes on to with a run that was never disturbed."""
    end = dln.open(store, verify=True).step + 1000
    whole = victims.run("descent", end=end)
    assert_same_run(victims.run("descent", store, end), whole)


# -- Signals --


def test_sigterm_commits_and_ends_the_process(store):
    with run_without_end(store) as process:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert out == ""
    found = dln.open(store, verify=True)
    assert found.status == "interrupted"
    assert found.data["step"].values[-1] == found.step
    assert_goes_on_like_one(store)


def test_ctrl_c_gives_what_there_is(store):
    with run_without_end(store) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    found = dln.open(store, verify=True)
    assert out.split() == ["interrupted", str(found.step)]
    assert_goes_on_like_one(store)


def test_a_handler_of_the_users_hears_sigterm(store):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *arguments: heard.append(1))
    try:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        trajectory = run(victims.LONG, stop=dln.Stop(seconds=1.0), store=store)
        timer.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [1]
    assert trajectory.status == "time_limit"


def test_sigterm_is_the_processs_own_afterwards(store):
    run(10, store=store)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# -- Two at once --


def test_a_second_writer_is_refused_at_once(store):
    with run_without_end(store) as process:
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="is being written by") as caught:
            victims.run("descent", store, victims.LONG)
        assert time.monotonic() - began < 5.0
        assert f"process {process.pid} on {socket.gethostname()}" in str(caught.value)
        running = dln.open(store)
        assert running.status == "running"
        with pytest.raises(RuntimeError, match="is being written"):
            running.save(store)
    assert dln.open(store).status == "interrupted"
    assert_goes_on_like_one(store)


def test_a_second_thread_is_refused_too(store):
    refused = []

    def again(weights):
        try:
            run(10, record=OFTEN, store=store)
        except RuntimeError as error:
            refused.append(str(error))
        return True

    run(10, record=OFTEN, stop=dln.Stop(condition=again, check_every=5), store=store)
    assert refused
    assert f"process {os.getpid()}" in refused[0]


def test_runs_in_threads_do_not_disturb_each_other(tmp_path, small_chunks):
    with ThreadPoolExecutor(4) as pool:
        kept = pool.map(lambda name: victims.run(name, tmp_path / f"{name}.zarr"), victims.NAMES)
        for name, trajectory in zip(victims.NAMES, kept, strict=True):
            assert_same_run(trajectory, victims.run(name))


def test_readers_see_commits_while_the_run_goes_on(store):
    with run_without_end(store):
        lengths = []
        for _ in range(5):
            data = dln.open(store, verify=True).data
            steps = data["step"].values
            assert data.sizes["step"] == len(steps)
            np.testing.assert_array_equal(steps, 10 * np.arange(len(steps)))
            assert np.isfinite(data["loss"].values).all()
            lengths.append(len(steps))
        assert lengths == sorted(lengths)
        assert lengths[-1] > lengths[0]


def test_a_forked_child_cannot_write(store):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    answers = []

    def fork(weights):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.write(writer, b"x")
            return 0.0  # and the child goes on with the run of its parent
        os.close(writer)
        answers.append(os.read(reader, 10))
        _, status = os.waitpid(child, 0)
        answers.append(os.waitstatus_to_exitcode(status))
        os.close(reader)
        return 0.0

    parent = os.getpid()
    record = dln.Record(["loss", {"fork": fork}], steps=[5])
    try:
        run(10, record=record, store=store)
    except RuntimeError as error:
        code = 7 if "forked" in str(error) and os.getpid() != parent else 8
        os._exit(code)
    except BaseException:
        os._exit(9)
    if os.getpid() != parent:
        os._exit(10)
    assert answers == [b"x", 7] * 3
    assert dln.open(store, verify=True).step == 10


def test_a_forked_child_does_not_keep_the_lock(store):
    with run_without_end(store):
        pass
    keeper = stores.WriterLock(store / "pydlnet" / "lock")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # until the parent is done
        os._exit(0)
    keeper.release()
    assert_goes_on_like_one(store)
    os.write(writer, b"x")
    os.waitpid(child, 0)


# -- What users and disks do --


def test_a_callable_that_raises_loses_nothing(store, small_chunks):
    def fail_late(weights):
        if len(calls) == 30:
            raise ArithmeticError("mine")
        calls.append(1)
        return float(weights[0][0, 0])

    record = dln.Record(["loss", {"mine": fail_late}], every=10)
    calls = []
    with pytest.raises(ArithmeticError, match="mine"):
        run(1000, record=record, store=store)
    assert dln.open(store, verify=True).data.sizes["step"] <= 31
    calls = [1] * 100
    assert_same_run(run(1000, record=record, store=store), run(1000, record=record))


def test_a_full_disk_keeps_what_was_committed(tmp_path, small_chunks, monkeypatch):
    monkeypatch.setattr(stores, "BYTES_A_CHUNK", 2**18)
    mount = shutil.which("mount")
    folder = tmp_path / "small"
    folder.mkdir()
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("only the administrator can make a small disk")
    try:
        filler = folder / "other"
        filler.write_bytes(bytes(2**22))
        with pytest.raises(OSError, match="No space left") as caught:
            victims.run("descent", folder / "run.zarr", victims.LONG)
        assert any("keeps what was committed" in note for note in caught.value.__notes__)
        assert dln.open(folder / "run.zarr", verify=True).step > 0
        # With room again the run goes on as if nothing had been.
        filler.unlink()
        assert_goes_on_like_one(folder / "run.zarr")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_write_that_fails_keeps_what_was_committed(store, processes):
    """As on a full disk, where nobody may make one: a limit to the size of files."""
    before = victims.run("descent", store)
    process = processes.Process(target=victims.run_with_small_files, args=(store,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert_same_run(dln.open(store, verify=True), before)
    assert_goes_on_like_one(store)


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_cannot_be_written(exists, store, tmp_path, processes):
    if exists:
        run(10, store=store)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    process = processes.Process(target=victims.run_without_rights, args=(store,))
    process.start()
    process.join(30)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755)
    assert process.exitcode == 0
    if exists:
        assert dln.open(store, verify=True).step == 10


# -- Damage --


def _damages(store, rng):
    """Yield every file with contents that it might be left with; None if it is lost."""
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != "lock"):
        content = path.read_bytes()
        yield path, None
        yield path, b""
        yield path, content[: rng.randrange(len(content))]
        for _ in range(2):
            flipped = bytearray(content)
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            yield path, bytes(flipped)


def _is_refused(call, store):
    """Say whether something is refused, with a message that names the store."""
    try:
        call(store)
    except ValueError as error:
        if str(store) not in str(error):
            raise
        return True
    return False


def test_damage_is_never_read_silently(store, small_chunks):
    """Every file cut, flipped or lost: refused, or everything is what it was."""
    whole = run(40, record=OFTEN, store=store)
    whole.data.load()
    later = run(50, record=OFTEN)

    def open_all(path):
        assert_same_run(dln.open(path, verify=True), whole)

    def read(path):
        assert dln.open(path).data.load().drop_attrs().identical(whole.data.drop_attrs())

    def go_on(path):
        assert_same_run(run(50, record=OFTEN, store=path), later)

    refused = unharmed = 0
    copy = store.with_name("copy.zarr")
    for path, damaged in _damages(store, random.Random(0)):
        content = path.read_bytes()
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        is_refused = _is_refused(open_all, store)
        refused += is_refused
        unharmed += not is_refused
        _is_refused(read, store)
        shutil.copytree(store, copy)
        _is_refused(go_on, copy)
        shutil.rmtree(copy)
        path.write_bytes(content)
    assert refused > 50
    assert unharmed < refused / 4  # what only those read who open the store without pydlnet


def test_exchanged_chunks_are_noticed(store, small_chunks):
    run(300, record=OFTEN, store=store)
    chunks = sorted((store / "loss" / "c").iterdir())
    assert len(chunks) > 2
    shutil.copy(chunks[0], chunks[1])
    dln.open(store)
    for call in (
        lambda: dln.open(store, verify=True),
        lambda: run(400, record=OFTEN, store=store),
    ):
        with pytest.raises(ValueError, match="not those that were committed"):
            call()


def test_a_store_that_has_only_begun(store):
    (store / "pydlnet").mkdir(parents=True)
    (store / "loss").mkdir()
    (store / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="has not committed anything yet"):
        dln.open(store)
    assert run(10, store=store).step == 10
    assert dln.open(store, verify=True).step == 10
