"""Ctrl-C in a notebook, which is a kernel that is interrupted."""

import os
import sys
import time
from queue import Empty

import pytest
from jupyter_client.manager import start_new_kernel

import pydlnet as dln

SECONDS = 60.0

RUN = """
import numpy as np
import pydlnet as dln

problem = dln.TargetMatrix(np.eye(20))
weights = dln.init.balanced((20, 20, 20), 0.1, rng=0)
method = dln.GradientDescent(1e-9)
record = dln.Record(every=1000)
print("begun", flush=True)
trajectory = dln.run(problem, weights, method, n_steps=10**12, record=record, store={store!r})
print(trajectory.status, trajectory.step)
"""


@pytest.fixture
def kernel(monkeypatch):
    """Return the manager and the client of a kernel that imports what this process does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    manager, client = start_new_kernel(startup_timeout=SECONDS)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def messages(client, request):
    """Yield kind and content of what comes of a request, until it is done."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=1.0)
        except Empty:
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        yield kind, content
        if kind == "status" and content["execution_state"] == "idle":
            return
    raise AssertionError("the kernel does not answer")


def output(client, code):
    """Return what code prints, and the names of its errors."""
    printed, errors = "", []
    for kind, content in messages(client, client.execute(code)):
        printed += content["text"] if kind == "stream" and content["name"] == "stdout" else ""
        errors += [content["ename"]] if kind == "error" else []
    return printed, errors


@pytest.mark.slow
def test_an_interrupted_cell_gives_what_there_is_and_the_kernel_lives(kernel, tmp_path):
    manager, client = kernel
    store = tmp_path / "run.zarr"
    printed = ""
    for kind, content in messages(client, client.execute(RUN.format(store=str(store)))):
        assert kind != "error", content
        if kind == "stream" and content["name"] == "stdout":
            if "begun" in content["text"]:
                end = time.monotonic() + SECONDS
                while not (store / "pydlnet" / "commit").exists():
                    assert time.monotonic() < end
                    time.sleep(0.05)
                manager.interrupt_kernel()
            printed += content["text"]
    status, step = printed.split()[1:]
    assert status == "interrupted"
    found = dln.open(store, verify=True)
    assert found.step == int(step) > 0
    # A loop of the notebook's own is interrupted as ever.
    assert output(client, "print(trajectory.data['loss'].size)")[0].split() == [
        str(found.data.sizes["step"])
    ]
    longer = "dln.run(problem, weights, method, n_steps={}, record=record, store={!r}).status"
    code = f"print({longer.format(found.step + 5000, str(store))})"
    assert output(client, code) == ("finished\n", [])
