"""Every instruction set that this machine can run gives the reference's answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pydlnet as dln

TESTS = Path(__file__).parent
AVAILABLE = dln._core.available()

# The modules that reach every kernel.
KERNEL_TESTS = [
    f"test_{m}.py" for m in ("chain", "problems", "spectrum", "recording", "methods", "completion")
]


def test_the_choice_is_one_of_the_available():
    assert dln._core.ISA in AVAILABLE
    assert len(set(AVAILABLE)) == len(AVAILABLE)
    assert set(AVAILABLE) <= {"v2", "v3", "v4", "generic"}


@pytest.mark.parametrize("isa", AVAILABLE)
def test_a_forced_instruction_set_is_the_one_used(isa, isolated):
    result = isolated("import pydlnet; print(pydlnet._core.ISA)", isa=isa)
    assert result.stdout == f"{isa}\n", result.stderr


def test_the_best_one_is_chosen_by_default(isolated):
    code = "import pydlnet; print(pydlnet._core.ISA, *pydlnet._core.available())"
    chosen, *available = isolated(code).stdout.split()
    assert chosen == max(available, key=["generic", "v2", "v3", "v4"].index)


@pytest.mark.slow
@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != dln._core.ISA])
def test_kernels_agree_with_the_reference(isa):
    """Those of the one that is in use are tested by this very session."""
    result = subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *(str(TESTS / name) for name in KERNEL_TESTS),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYDLNET_ISA": isa, "CI": "1"},
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:]


def test_instruction_sets_agree_to_rounding(isolated):
    """Not bit for bit: the order of the sums depends on the length of the vectors."""
    code = """
import numpy as np, pydlnet as dln
problem = dln.TargetMatrix(np.random.default_rng(1).standard_normal((7, 9)))
start = dln.init.gaussian((9, 13, 11, 7), 0.5, 2)
data = dln.run(problem, start, dln.Adam(0.01), n_steps=50).data
print(repr(float(data["loss"].values[-1])))
"""
    losses = [float(isolated(code, isa=isa).stdout) for isa in AVAILABLE]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-11)


@pytest.mark.parametrize("isa", ["v5", "avx512", "V3", " v2", "v9"])
def test_an_unknown_instruction_set_fails_loudly(isa, isolated):
    result = isolated("import pydlnet", isa=isa)
    assert result.returncode != 0
    message = result.stderr.splitlines()[-1]
    assert "PYDLNET_ISA" in message
    assert isa in message
    assert AVAILABLE[0] in message


def test_an_empty_choice_is_no_choice(isolated):
    result = isolated("import pydlnet; print(pydlnet._core.ISA)", isa="")
    assert result.stdout.strip() in AVAILABLE, result.stderr
