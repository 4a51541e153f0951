"""Hypothesis profiles, and Python snippets run in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

# No deadline: the first call of anything may load a library. CI must not fail by luck.
hypothesis.settings.register_profile("local", deadline=None, max_examples=40)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

TESTS = Path(__file__).parent


def _run(code, *flags, isa=None, timeout=120, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PYDLNET_ISA"}
    environment.update(variables, PYTHONPATH=str(TESTS))
    if isa is not None:
        environment["PYDLNET_ISA"] = isa
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def isolated():
    """Return a function that runs Python code in a new process, if asked with PYDLNET_ISA set."""
    return _run
