"""Records of an ensemble: those of all members side by side, NaN where a member has none."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .blocks import MEBIBYTE, Block
from .quantities import Variable, dim_sizes, variables
from .recording import Record

Arrays = dict[str, NDArray[Any]]


class EnsembleRecords:
    """The records of all members: arrays (run, record, ...), a block of the schedule at a time.

    Parameters
    ----------
    record : Record
        What to record and when.
    widths : sequence of int
        (d_0, ..., d_N).
    dtype : dtype_like
        Of the run: end-to-end matrix and layers are recorded in it, everything else in float64.
    n_members : int
        Number of members.

    Attributes
    ----------
    variables : dict of str to Variable
        Of the core, by name.
    last : dict of str to ndarray, shape (n_members, ...)
        Where the core writes what a member ends with, if its last step is off the schedule.
    users_last : dict of str to ndarray, shape (n_members, ...)
        Likewise, for the user's quantities.
    """

    def __init__(
        self, record: Record, widths: Sequence[int], dtype: DTypeLike, n_members: int
    ) -> None:
        self._schedule = record.schedule
        self._n_members = n_members
        sizes = dim_sizes(widths)
        self.variables = variables(record.core_names, widths)
        self._core: Arrays = {"time": np.empty(())}
        for name, variable in self.variables.items():
            in_run_dtype = name == "end_to_end" or name.startswith("W")
            shape = tuple(sizes[dim] for dim in variable.dims[1:])
            self._core[name] = np.empty(shape, dtype if in_run_dtype else np.float64)
        self.last = self._allocate(self._core)
        self._users: Arrays = {}
        self.users_last: Arrays = {}
        self._finished: list[Block] = []

    def add_users(self, examples: Mapping[str, NDArray[Any]]) -> None:
        """Make room for the user's quantities, given a value of each."""
        # Integers and bools become floats: a member without a record has NaN.
        self._users = {
            name: value if value.dtype.kind == "f" else value.astype(np.float64)
            for name, value in examples.items()
        }
        self.users_last = self._allocate(self._users)

    def _allocate(self, examples: Arrays, *records: int) -> Arrays:
        return {
            name: np.full((self._n_members, *records, *value.shape), np.nan, value.dtype)
            for name, value in examples.items()
        }

    def next_block(self, first: int, last: int) -> Block:
        """Return room for the scheduled steps from `first` on, as far as one block goes."""
        examples = [*self._core.values(), *self._users.values()]
        a_record = self._n_members * sum(8 * math.prod(value.shape) for value in examples)
        steps = self._schedule.steps_between(first, last, max(1, 32 * MEBIBYTE // a_record))
        core = self._allocate(self._core, len(steps))
        return Block(steps, core, self._allocate(self._users, len(steps)))

    def finish(self, block: Block) -> None:
        """Keep a block that no member goes on in."""
        self._finished.append(block)

    def collect(
        self, last_steps: NDArray[np.int64], off_schedule: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Arrays]:
        """Return the union of the recorded steps, and all arrays over it.

        Parameters
        ----------
        last_steps : ndarray of int64, shape (n_members,)
            Where each member ended.
        off_schedule : ndarray of bool, shape (n_members,)
            Whether what it ended with is in `last` and `users_last`.
        """
        scheduled = [block.steps[block.steps <= last_steps.max()] for block in self._finished]
        steps = np.unique(np.concatenate([*scheduled, last_steps[off_schedule]]))
        members = np.flatnonzero(off_schedule)
        places = np.searchsorted(steps, last_steps[members])
        arrays = {}
        for name, last, parts in self._parts():
            array = np.full((self._n_members, len(steps), *last.shape[1:]), np.nan, last.dtype)
            for mine, part in zip(scheduled, parts, strict=True):
                array[:, np.searchsorted(steps, mine)] = part[:, : len(mine)]
            array[members, places] = last[members]
            arrays[name] = array
        return steps, arrays

    def _parts(self) -> Iterator[tuple[str, NDArray[Any], list[NDArray[Any]]]]:
        """Yield for each variable its name, its last rows and its part of each block."""
        for name, last in self.last.items():
            yield name, last, [block.core.pop(name) for block in self._finished]
        for name, last in self.users_last.items():
            yield name, last, [block.users.pop(name) for block in self._finished]


def over_runs(variable: Variable) -> Variable:
    """Return the variable with the dimension `run` in front."""
    return replace(variable, dims=("run", *variable.dims))
