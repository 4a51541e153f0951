"""Coverage-guided fuzzing of what takes a user's data.

    pip install atheris
    python -m fuzz TARGET [-max_total_time=300] [options of libFuzzer] [FOLDER of inputs to keep]

with one of the targets `config` (experiment files), `data` (files of data), `trajectory` (saved
trajectories with wrong bytes in them) or `core` (the compiled functions). An input that ends in
anything but an error that a user is promised is kept as a file `crash-...`, and

    python -m fuzz TARGET crash-...

shows what it ends in. Without a fuzzer, for instance under the sanitizers of `.ci/sanitize`,

    python -m fuzz TARGET --random N [SEED]

tries N random inputs.
"""

import importlib
import random
import sys
import warnings
from collections.abc import Callable

import numpy as np

from .outcomes import attempt, limit_memory

TARGETS = ("config", "data", "trajectory", "core")
LONGEST = 600  # bytes of a random input


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    name = sys.argv.pop(1)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if "--random" in sys.argv:
        at = sys.argv.index("--random")
        count, seed = int(sys.argv[at + 1]), int((*sys.argv[at + 2 :], "0")[0])
        try_random(_target(name), count, seed)
    else:
        fuzz(name)


def _target(name: str) -> Callable[[bytes], None]:
    check: Callable[[bytes], None] = importlib.import_module(f"fuzz.{name}").check
    return check


def try_random(check: Callable[[bytes], None], count: int, seed: int) -> None:
    """Try random inputs; the last one is in `random-input`, should the process end with it."""
    draws = random.Random(seed)
    for _ in range(count):
        data = draws.randbytes(draws.randrange(LONGEST))
        with open("random-input", "wb") as file:
            file.write(data)
        attempt(check, data)
    print(f"{count} inputs")


def fuzz(name: str) -> None:
    """Let libFuzzer look for inputs, led by the branches that they take in the package."""
    import atheris

    limit_memory(8 * 2**30)
    with atheris.instrument_imports(include=["pydlnet", "fuzz", "tomllib", "csv"]):
        check = _target(name)
    atheris.Setup(sys.argv, lambda data: attempt(check, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
