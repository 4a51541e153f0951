"""Arrays that records are written to, a block at a time, so that memory follows the records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .observers import Observers
from .quantities import Variable, dim_sizes, variables
from .recording import Record

MEBIBYTE = 2**20


@dataclass
class Block:
    """Some records: their steps, and one array a variable with one row a record."""

    steps: NDArray[np.int64]
    core: dict[str, NDArray[Any]]
    users: dict[str, NDArray[Any]]

    def first_rows(self, n: int) -> "Block":
        """Return the first n records, in memory of their own size."""
        if n == len(self.steps):
            return self
        return Block(
            self.steps[:n].copy(),
            {name: array[:n].copy() for name, array in self.core.items()},
            {name: array[:n].copy() for name, array in self.users.items()},
        )


class Blocks:
    """The records of one run.

    Parameters
    ----------
    record : Record
        What to record and when.
    widths : sequence of int
        (d_0, ..., d_N).
    dtype : dtype_like
        Of the run: end-to-end matrix and layers are recorded in it, everything else in float64.
    observers : Observers
        The user's quantities.
    """

    def __init__(
        self, record: Record, widths: Sequence[int], dtype: DTypeLike, observers: Observers
    ) -> None:
        self._schedule = record.schedule
        self._sizes = dim_sizes(widths)
        self._dtype = dtype
        self._observers = observers
        self.variables = variables(record.names, widths)
        self._finished: list[Block] = []

    def next_block(self, first: int, last: int) -> Block:
        """Return room for the scheduled steps from `first` on, as far as one block goes."""
        steps = self._schedule.steps_between(first, last, self._capacity())
        return self._allocate(steps)

    def single(self, step: int) -> Block:
        """Return room for one step, scheduled or not."""
        return self._allocate(np.array([step], dtype=np.int64))

    def finish(self, block: Block) -> None:
        """Keep a block whose rows are all filled."""
        if len(block.steps):
            self._finished.append(block)

    def _shape(self, variable: Variable) -> tuple[int, ...]:
        return tuple(self._sizes[dim] for dim in variable.dims[1:])

    def _capacity(self) -> int:
        sizes = (8 * math.prod(self._shape(variable)) for variable in self.variables.values())
        return max(1, 32 * MEBIBYTE // (16 + sum(sizes) + self._observers.bytes_a_record))

    def _allocate(self, steps: NDArray[np.int64]) -> Block:
        core = {"time": np.empty(len(steps))}
        for name, variable in self.variables.items():
            in_run_dtype = name == "end_to_end" or name.startswith("W")
            core[name] = np.empty(
                (len(steps), *self._shape(variable)), self._dtype if in_run_dtype else np.float64
            )
        return Block(steps, core, self._observers.allocate(len(steps)))

    def collect(self) -> Block:
        """Return all records as one block."""
        if not self._finished:
            return self._allocate(np.empty(0, dtype=np.int64))
        blocks = self._finished
        if len(blocks) == 1:
            return blocks[0]
        return Block(
            np.concatenate([block.steps for block in blocks]),
            {name: np.concatenate([b.core[name] for b in blocks]) for name in blocks[0].core},
            {name: np.concatenate([b.users[name] for b in blocks]) for name in blocks[0].users},
        )
