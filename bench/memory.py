"""Print the memory that a completion run takes at its peak: `python -m bench.memory CASE NAME`."""

import sys
from pathlib import Path

from .optional import Unavailable
from .sections import completion

STATUS = Path("/proc/self/status")
N_STEPS = 10


def _kilobytes(key: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def main(case: str, name: str) -> str:
    """Return the megabytes, or why they were not measured."""
    if not STATUS.exists():
        return "not measured: this system has no /proc/self/status"
    if name == completion.AUTOGRAD:
        try:
            completion.optional("torch")
        except Unavailable as error:
            return f"not measured: {error}"
    before = _kilobytes("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    completion.FACTORIES[name](getattr(completion, case)).run(N_STEPS)
    return f"{(_kilobytes('VmHWM:') - before) / 1024:.0f}"


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
