"""The compiled core: picks the extension module for this processor.

On x86-64 there is one module per instruction set, built from the same source; the best that the
processor runs is taken, or the one that the environment variable ``PYDLNET_ISA`` names (``v2``,
``v3`` or ``v4``, the levels of the x86-64 psABI). Other processors have one ``generic`` module.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def _find_compiled() -> None:
    """Let a source folder that hides the installed package use the modules that were built."""
    name = "_cpu" + importlib.machinery.EXTENSION_SUFFIXES[0]
    __path__.extend(
        folder
        for folder in (str(Path(entry, "pydlnet", "_core")) for entry in sys.path)
        if Path(folder, name).exists()
    )


try:
    from . import _cpu
except ImportError:
    _find_compiled()
    try:
        from . import _cpu
    except ImportError:
        raise ImportError(
            f"pydlnet is not compiled in {Path(__file__).parents[1]}, which looks like its source "
            "folder: install it with `pip install .` or `pip install --editable .`"
        ) from None

LEVELS = ("v2", "v3", "v4")


def _failure(message: str) -> BaseException:
    """Return what to raise where there is no module to load: a line on the command line.

    The command imports the package before any code of its own can catch what that raises.
    """
    if not _is_command():
        return ImportError(message)
    print(f"error: {message}", file=sys.stderr)
    return SystemExit(2)


def _is_command() -> bool:
    """Whether this process is `pydlnet` or `python -m pydlnet`."""
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":  # as long as Python looks for the module, whose name is next to this
        return sys.orig_argv[-len(sys.argv)] in ("pydlnet", "-mpydlnet")
    return Path(program).stem == "pydlnet"


def _is_built(isa: str) -> bool:
    return importlib.util.find_spec(f"{__name__}._{isa}") is not None


def available() -> tuple[str, ...]:
    """Return the instruction sets that this machine runs and this installation has, best last."""
    names = ("generic", *LEVELS[: max(0, _cpu.x86_64_level() - 1)])
    return tuple(name for name in names if _is_built(name))


def _load() -> ModuleType:
    usable = available()
    forced = os.environ.get("PYDLNET_ISA", "")
    if forced and forced not in usable:
        raise _failure(
            f"PYDLNET_ISA: expected one of {', '.join(usable) or 'none'} on this machine, "
            f"got {forced!r}"
        )
    if not usable:
        raise _failure("pydlnet needs an x86-64 processor of level v2 (SSE4.2) or above")
    return importlib.import_module(f"{__name__}._{forced or usable[-1]}")


_module = _load()

ISA: str = _module.ISA

svd = _module.svd
singular_values = _module.singular_values
qr = _module.qr
row_space = _module.row_space
reduce_least_squares = _module.reduce_least_squares

target_loss = _module.target_loss
power_loss = _module.power_loss
diagonal_loss = _module.diagonal_loss
classification_loss = _module.classification_loss
entries_loss = _module.entries_loss
sensing_loss = _module.sensing_loss
python_loss = _module.python_loss

chain_product = _module.chain_product
chain_gradients = _module.chain_gradients
chain_value_and_gradients = _module.chain_value_and_gradients
chain_step = _module.chain_step

open_curvature = _module.open_curvature
hessian_product = _module.hessian_product
search_extremes = _module.search_extremes
extreme_found = _module.extreme_found

open_descent = _module.open_descent
use_threads = _module.use_threads
start = _module.start
advance = _module.advance
record = _module.record
weights = _module.weights
views = _module.views
state = _module.state
time = _module.time
step = _module.step
is_sparse = _module.is_sparse
meeting_layer = _module.meeting_layer
is_recorded = _module.is_recorded
is_finite = _module.is_finite
loss = _module.loss

open_flow = _module.open_flow
start_flow = _module.start_flow
advance_flow = _module.advance_flow
record_flow = _module.record_flow
flow_state = _module.flow_state
flow_time = _module.flow_time
flow_counts = _module.flow_counts
imbalance_drift = _module.imbalance_drift

open_ensemble = _module.open_ensemble
set_rates = _module.set_rates
start_ensemble = _module.start_ensemble
advance_ensemble = _module.advance_ensemble
end_member = _module.end_member
waiting_members = _module.waiting_members
member_steps = _module.member_steps
members_ended = _module.members_ended
members_ended_off_schedule = _module.members_ended_off_schedule
member_status = _module.member_status
member_views = _module.member_views
member_weights = _module.member_weights
failed_member = _module.failed_member

count_interruptions = _module.count_interruptions
n_interruptions = _module.n_interruptions
