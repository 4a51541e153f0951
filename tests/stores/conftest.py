"""Processes that run with a store and can be killed."""

import multiprocessing
import os
from pathlib import Path

import pytest

pytest.importorskip("zarr")


@pytest.fixture(scope="session")
def processes():
    """Return a context whose processes begin at once, everything loaded, and share nothing."""
    folder = str(Path(__file__).parent)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["victims", "zarr"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]))
        # The server is started here, while it finds the folder.
        process = context.Process(target=int)
        process.start()
        process.join()
    return context
