"""Threads, processes and a cluster of worker processes: the same bits, whoever dies."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import pytest
from sweep_functions import count_in, fatal, slowly, square, train

import pydlnet as dln

GRID = {"depth": [1, 2, 3], "learning_rate": [0.03, 0.1, 0.3, 2.0]}


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Return what a sweep gives in one thread."""
    store = tmp_path_factory.mktemp("serial") / "sweep"
    return dln.sweep(train, GRID, store=store, rng=3).data.load()


@pytest.fixture(scope="module")
def client():
    """Return a client of two Dask worker processes, which talk over the loopback interface."""
    distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        folder = os.path.dirname(__file__)
        patch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(folder), folder, os.getcwd()]))
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://"
        )
        with cluster, distributed.Client(cluster) as client:
            yield client


def pool(kind):
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind))


@pytest.mark.parametrize("kind", ["threads", "joblib", "loky", "spawn", "forkserver"])
def test_the_same_bits_whoever_computes(store, serial, importable, kind):
    options = {"rng": 3, "store": store}
    if kind == "threads":
        with ThreadPoolExecutor(2) as executor:
            data = dln.sweep(train, GRID, executor=executor, **options).data
    elif kind == "joblib":
        data = dln.sweep(train, GRID, n_jobs=2, **options).data
    elif kind == "loky":
        with joblib.parallel_config(backend="loky", n_jobs=2):
            data = dln.sweep(train, GRID, **options).data
    else:
        with pool(kind) as executor:
            data = dln.sweep(train, GRID, executor=executor, **options).data
    assert data.identical(serial)


def test_backends_of_joblib_without_a_generator_do_as_well(store):
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
        data = dln.sweep(square, {"x": list(range(50))}, store=store).data
    assert data["square"].values.tolist() == [x**2 for x in range(50)]


def test_the_same_bits_on_a_cluster(store, serial, client):
    with joblib.parallel_config(backend="dask"):
        data = dln.sweep(train, GRID, rng=3, store=store).data
    assert data.identical(serial)


def test_a_killed_worker_of_a_cluster_loses_nothing(store, client, calls):
    victim = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(0.6, os.kill, (victim, signal.SIGKILL))
    timer.start()
    sweep = dln.sweep(slowly, {"x": list(range(60))}, store=store, executor=client.get_executor())
    timer.join()
    assert sweep.counts == {"done": 60, "failed": 0, "missing": 0}
    assert sweep.data["square"].values.tolist() == [x**2 for x in range(60)]
    client.wait_for_workers(2, timeout=30)
    assert victim not in client.run(os.getpid).values()


CLIENT = """
import sys, pydlnet as dln
from distributed import Client
from sweep_functions import slowly
with Client(sys.argv[2]) as client:
    print("begun", flush=True)
    executor = client.get_executor()
    dln.sweep(slowly, {"x": list(range(60))}, store=sys.argv[1], executor=executor)
"""


def test_a_killed_client_leaves_only_what_is_missing(store, client, calls, importable):
    # Workers are told where calls are counted: they began before this test.
    folder = os.environ["PYDLNET_TEST_CALLS"]
    client.run(count_in, folder)
    address = client.scheduler.address
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(store), address], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        deadline = time.monotonic() + 30
        while len(list(store.rglob("point.json"))) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    time.sleep(1.0)  # for what was on its way
    before = calls()
    done = dln.open_sweep(store).counts["done"]
    assert 0 < done < 60
    assert sum(before.values()) == done
    sweep = dln.sweep(slowly, {"x": list(range(60))}, store=store, executor=client.get_executor())
    assert calls() == {str(x): 1 for x in range(60) if str(x) not in before}
    assert sweep.data["square"].values.tolist() == [x**2 for x in range(60)]


def test_a_worker_process_that_dies_stops_the_sweep_with_a_word(store, importable):
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.raises(RuntimeError, match=r"the workers are gone .*at least . of 8 points are"),
    ):
        dln.sweep(fatal, {"x": list(range(8))}, store=store)
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)
    assert dln.sweep(fatal, {"x": [5, 6]}, store=store).counts["done"] == 2


def test_what_cannot_be_pickled_is_said_at_once(store):
    lock = threading.Lock()

    def locked(x):
        return {"x": x, "locked": lock.locked()}

    assert dln.sweep(locked, {"x": [1]}, store=f"{store}-threads", n_jobs=2).counts["done"] == 1
    with (
        joblib.parallel_config(backend="loky", n_jobs=2),
        pytest.raises(TypeError, match=r"function: expected what can be pickled.*locked.*: cannot"),
    ):
        dln.sweep(locked, {"x": [1, 2]}, store=store)


def test_a_scheduler_that_goes_away_is_an_error(store, importable):
    pytest.importorskip("distributed")
    from distributed import Client

    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    file = f"{store}.json"
    with contextlib.ExitStack() as stack:
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = stack.enter_context(
            subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file],
                **options,
            )
        )
        stack.callback(scheduler.kill)
        while not os.path.exists(file):
            time.sleep(0.05)
        # No worker: the sweep waits for one, until nobody answers.
        client = stack.enter_context(Client(scheduler_file=file, timeout=2))
        threading.Timer(0.5, scheduler.kill).start()
        began = time.monotonic()
        with pytest.raises(RuntimeError, match=r"the workers are gone .*scheduler.*0 of 1 points"):
            dln.sweep(square, {"x": [1]}, store=store, executor=client.get_executor())
        assert time.monotonic() - began < 10
