"""A store, and processes that run with one and can be killed."""

import multiprocessing
import os
from pathlib import Path

import pytest

pytest.importorskip("zarr")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "run.zarr"


@pytest.fixture(scope="session")
def processes():
    """Return a context whose processes begin at once, everything loaded, and share nothing."""
    folder = Path(__file__).parent
    paths = [str(folder), str(folder.parent), os.environ.get("PYTHONPATH", "")]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["victims", "zarr"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        # The server is started here, while it finds the folders.
        process = context.Process(target=int)
        process.start()
        process.join()
    return context
