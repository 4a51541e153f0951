"""What makes a run the one that a store was written for."""

import hashlib
import json
import re
import warnings
from typing import Any

import numpy as np

from .. import _core
from .._version import VERSION
from ..loop import Setup
from .state import state_dataset

__all__ = ["check_same_run", "describe_stop", "identity"]

# The layout of stores. One of another layout is refused.
LAYOUT = 1

# SHA-256, of which messages show the beginning.
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")

# As they are called in messages.
WORDS = {
    "layout": "another layout",
    "problem": "another problem",
    "method": "another method",
    "widths": "other widths",
    "dtype": "another dtype",
    "start": "another start (digest of its layers)",
    "record": "another record",
    "exact_compression": "another exact_compression",
}


HINTS = {"start": "; a run goes on in its store if it is called as it was at first"}


def identity(setup: Setup, exact_compression: bool | str, *, has_seed: bool) -> dict[str, Any]:
    """Return what has to be the same when a run goes on in a store, ready for JSON.

    Parameters
    ----------
    setup : Setup
        Of the run, as it was called.
    exact_compression : bool or "rank"
        The argument of `run`.
    has_seed : bool
        Whether the seed was asked for, rather than drawn.
    """
    return {
        "layout": LAYOUT,
        "problem": setup.problem.describe(),
        "method": setup.method.to_dict(),
        "widths": list(setup.widths),
        "dtype": str(setup.weights[0].dtype),
        "start": _digest_of_start(setup),
        "record": setup.record.to_dict(),
        "exact_compression": exact_compression,
        "seed": setup.state.seed,
        "has_seed": has_seed,
        "version": VERSION,
        "instruction_set": _core.ISA,
    }


def check_same_run(ours: dict[str, Any], theirs: dict[str, Any], path: object) -> None:
    """Raise ValueError, naming the first difference, unless a store was written for this run."""
    check_layout(theirs.get("layout"), path)
    for key, word in WORDS.items():
        mine, found = (json.loads(json.dumps(side.get(key))) for side in (ours, theirs))
        if mine != found:
            raise ValueError(
                f"store: {path} was written for {word}: expected {_brief(found, mine)}, got "
                f"{_brief(mine, found)}{HINTS.get(key, '')}"
            )
    if ours["has_seed"] and ours["seed"] != theirs["seed"]:
        raise ValueError(
            f"store: {path} was written with another seed: expected rng={theirs['seed']}, or none, "
            f"got {ours['seed']}"
        )
    for key in ("version", "instruction_set"):
        if ours[key] != theirs[key]:
            warnings.warn(
                f"store: {path} was begun with {key.replace('_', ' ')} {theirs[key]} and goes on "
                f"with {ours[key]}: its bits may differ from those of an undisturbed run",
                stacklevel=4,
            )


def check_layout(found: object, path: object) -> None:
    """Raise ValueError unless a store has the layout that this version reads."""
    if found != LAYOUT:
        raise ValueError(
            f"store: {path} has layout {found}, and pydlnet {VERSION} reads layout {LAYOUT}; "
            "open it with the version that wrote it"
        )


def describe_stop(setup: Setup) -> dict[str, Any]:
    """Return the conditions at which the run ends, the clock's apart, ready for JSON."""
    stop = setup.stop
    return {
        "loss": stop.loss,
        "gradient_norm": stop.gradient_norm,
        "check_every": stop.check_every,
        "condition": stop.condition is not None,
    }


def _digest_of_start(setup: Setup) -> str:
    earlier = setup.earlier
    if earlier is None:
        arrays: dict[Any, Any] = dict(enumerate(setup.weights))
    else:
        state = state_dataset(earlier.weights, earlier.state, earlier.method, "")
        arrays = {name: variable.values for name, variable in state.variables.items()}
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _brief(value: Any, other: Any) -> str:
    """Return what of a value is not in the other one, in few words and without long digests."""
    if isinstance(value, dict) and isinstance(other, dict):
        differing = {k: v for k, v in value.items() if k not in other or other[k] != v}
        text = ", ".join(f"{name}={part!r}" for name, part in differing.items()) or "nothing more"
    else:
        text = repr(value)
    text = DIGEST.sub(r"\1...", text)
    return text if len(text) <= 200 else f"{text[:197]}..."
