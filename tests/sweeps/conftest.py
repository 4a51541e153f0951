"""Sweeps in a folder of their own, with their calls counted."""

import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Return a function that says how often each point was computed since it was last asked."""
    folder = tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("PYDLNET_TEST_CALLS", str(folder))

    def count():
        files = list(folder.iterdir())
        for file in files:
            file.unlink()
        return Counter(file.name.rpartition("-")[0] for file in files)

    return count


@pytest.fixture
def store(tmp_path):
    """Return where a sweep can be."""
    return tmp_path / "sweep"


@pytest.fixture
def importable(monkeypatch):
    """Let worker processes import the functions that are swept."""
    tests = str(Path(HERE).parent)
    monkeypatch.setenv("PYTHONPATH", f"{Path(tests).parent}:{tests}:{HERE}")
