"""Arrays that records are written to, a block at a time, so that memory follows the records."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .observers import Observers
from .quantities import Variable, dim_sizes, variables
from .schedules import Schedule

MEBIBYTE = 2**20

Arrays = dict[str, NDArray[Any]]


@dataclass
class Block:
    """Some records: their steps, and one array a variable with one row a record."""

    steps: NDArray[np.int64]
    core: Arrays
    users: Arrays

    def rows(self, first: int, end: int) -> "Block":
        """Return the records from `first` on, before `end`, in memory of their own size."""
        if end - first == len(self.steps):
            return self
        return Block(
            self.steps[first:end].copy(),
            {name: array[first:end].copy() for name, array in self.core.items()},
            {name: array[first:end].copy() for name, array in self.users.items()},
        )


class Blocks:
    """The records of one run.

    Parameters
    ----------
    names : sequence of str
        Quantities that the core records.
    schedule : Schedule
        The steps.
    widths : sequence of int
        (d_0, ..., d_N).
    dtype : dtype_like
        Of the run: end-to-end matrix and layers are recorded in it, everything else in float64.
    observers : Observers
        The user's quantities.
    core_widths : sequence of int
        (c_0, ..., c_N) of the core: blocks have room for its records.
    lift : callable
        Turns the core's arrays of a block into those of the full network.
    keep : callable, optional
        Takes records of the full network; they are collected here without it.
    """

    def __init__(
        self,
        names: Sequence[str],
        schedule: Schedule,
        widths: Sequence[int],
        dtype: DTypeLike,
        observers: Observers,
        core_widths: Sequence[int],
        lift: Callable[[Arrays], Arrays],
        keep: Callable[[Block], None] | None = None,
    ) -> None:
        self._schedule = schedule
        self._sizes = dim_sizes(widths)
        self._core_sizes = dim_sizes(core_widths)
        self._lift = lift
        self._dtype = dtype
        self._observers = observers
        self.variables = variables(names, widths)
        self._finished: list[Block] = []
        self._keep = keep
        self._n_kept = 0  # rows of the block in use

    def next_block(self, first: int, last: int) -> Block:
        """Return room for the scheduled steps from `first` on, as far as one block goes."""
        steps = self._schedule.steps_between(first, last, self._capacity())
        return self._allocate(steps, self._core_sizes)

    def end_of(self, block: Block, last: int) -> int:
        """Return the step up to which a block with records has room."""
        end = int(block.steps[-1])
        return end if len(self._schedule.steps_between(end + 1, last, limit=1)) else last

    def single(self, step: int) -> Block:
        """Return room for one step, scheduled or not."""
        return self._allocate(np.array([step], dtype=np.int64), self._core_sizes)

    def finish(self, block: Block) -> None:
        """Keep a block whose rows are all filled."""
        if self._keep is not None:
            self.hand_over(block, len(block.steps))
            self._n_kept = 0
        elif len(block.steps):
            self._finished.append(self._lifted(block))

    def hand_over(self, block: Block, n_rows: int) -> None:
        """Give to `keep` what is new in the first rows of a block."""
        assert self._keep is not None
        if n_rows > self._n_kept:
            self._keep(self._lifted(block.rows(self._n_kept, n_rows)))
            self._n_kept = n_rows

    def empty(self) -> Block:
        """Return a block without records, with the shapes of the full network."""
        return self._allocate(np.empty(0, dtype=np.int64), self._sizes)

    def _lifted(self, block: Block) -> Block:
        return Block(block.steps, self._lift(block.core), block.users)

    def _capacity(self) -> int:
        sizes = (
            8 * math.prod(_shape(variable, self._sizes)) for variable in self.variables.values()
        )
        return max(1, 32 * MEBIBYTE // (16 + sum(sizes) + self._observers.bytes_a_record))

    def _allocate(self, steps: NDArray[np.int64], sizes: Mapping[str, int]) -> Block:
        core = {"time": np.empty(len(steps))}
        for name, variable in self.variables.items():
            in_run_dtype = name == "end_to_end" or name.startswith("W")
            core[name] = np.empty(
                (len(steps), *_shape(variable, sizes)), self._dtype if in_run_dtype else np.float64
            )
        return Block(steps, core, self._observers.allocate(len(steps)))

    def collect(self) -> Block:
        """Return all records as one block."""
        if not self._finished:
            return self.empty()
        blocks = self._finished
        if len(blocks) == 1:
            return blocks[0]
        return Block(
            np.concatenate([block.steps for block in blocks]),
            {name: np.concatenate([b.core[name] for b in blocks]) for name in blocks[0].core},
            {name: np.concatenate([b.users[name] for b in blocks]) for name in blocks[0].users},
        )


def _shape(variable: Variable, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[dim] for dim in variable.dims[1:])
