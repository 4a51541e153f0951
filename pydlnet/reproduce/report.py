"""What an experiment hands over, and how it is written down.

An experiment yields parts: a dataset, a figure of it, and what came out beside what the paper says.
A file appears under its name only when it is complete, and the summary last of all, so nothing that
was interrupted looks finished.
"""

import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from .. import _core
from .._version import VERSION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Outcome", "Part", "Settings", "dimension", "markdown", "table", "write", "write_text"]

_HEADER = ("claim", "paper", "measured", "agrees")
_WIDTHS = (36, 28, 36, 8)  # of the columns in a terminal


@dataclass(frozen=True)
class Outcome:
    """One claim of a paper beside what was measured.

    Attributes
    ----------
    claim : str
        What is compared, with its settings.
    paper : str
        What the paper, or its theory, says; "-" if nothing.
    measured : str
        What came out, with the number of seeds and the spread over them.
    agrees : bool or None
        Whether they agree; None if that is reported and not judged.

    Examples
    --------
    >>> from pydlnet.reproduce import Outcome
    >>> Outcome("steps at depth 2", "fewer", "0.3 times as many", True).verdict
    'yes'
    """

    claim: str
    paper: str
    measured: str
    agrees: bool | None

    @property
    def verdict(self) -> str:
        """`agrees` in a word."""
        return {True: "yes", False: "no", None: "reported"}[self.agrees]

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The row of the table."""
        return self.claim, self.paper, self.measured, self.verdict


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an experiment that is complete in itself.

    Attributes
    ----------
    name : str
        Stem of the names of its files.
    data : xarray.Dataset
        What was measured. `write` adds seed, settings, version and `used` to its attributes.
    figure : matplotlib.figure.Figure
        A picture of it, made without pyplot.
    outcomes : tuple of Outcome
        Its rows of the table.
    used : str
        Which data the problem was made of.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> from pydlnet.reproduce import Outcome, Part
    >>> outcome = Outcome("two and two", "4", str(2 + 2), True)
    >>> part = Part("sums", xr.Dataset({"sum": 4}), Figure(), (outcome,), used="two numbers")
    >>> part.outcomes[0].cells
    ('two and two', '4', '4', 'yes')
    """

    name: str
    data: xr.Dataset
    figure: "Figure"
    outcomes: tuple[Outcome, ...]
    used: str


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes
    ----------
    full : bool
        The paper's whole grid instead of one that takes minutes.
    seed : int
        What all random numbers of the experiment follow from, at least 0.
    threads : int
        How many threads share the work; no number depends on it.
    data : Path or None
        The gas sensor archive; None stands for synthetic measurements of the same shape.
    ratings : Path or None
        A file of ratings, such as MovieLens-100K; without it that part is left out.
    say : callable
        Gets a line of text whenever there is news.

    Examples
    --------
    >>> from pydlnet.reproduce import Settings
    >>> Settings(seed=3).attributes()["grid"]
    'default'
    """

    full: bool = False
    seed: int = 0
    threads: int = 1
    data: Path | None = None
    ratings: Path | None = None
    say: Callable[[str], None] = print

    def attributes(self) -> dict[str, Any]:
        """Return what a dataset has to say about where it comes from."""
        return {
            "seed": self.seed,
            "grid": "full" if self.full else "default",
            "version": VERSION,
            "instruction_set": _core.ISA,
        }


def write(part: Part, folder: Path, settings: Settings) -> None:
    """Write dataset (NetCDF) and figure (PNG, SVG) of a part, replacing those of an earlier run."""
    import matplotlib

    data = part.data.assign_attrs(**settings.attributes(), data_used=part.used)
    with _complete(folder / f"{part.name}.nc") as path:
        data.to_netcdf(path, engine="h5netcdf")
    # The same numbers give the same file: no date, and names in the SVG that are not random.
    with matplotlib.rc_context({"svg.hashsalt": part.name}):
        for ending, metadata in ((".png", None), (".svg", {"Date": None})):
            with _complete(folder / f"{part.name}{ending}") as path:
                part.figure.savefig(path, format=ending[1:], dpi=120, metadata=metadata)


def write_text(text: str, path: Path) -> None:
    """Write a text file that is either complete or not there."""
    with _complete(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """Give a file its name once it is written, whole."""
    # The number of the process: another one may be writing to the same folder.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def dimension(name: str, values: Sequence[Any]) -> xr.DataArray:
    """Return the coordinate along which `xarray.concat` puts datasets beside each other."""
    return xr.DataArray(list(values), dims=name, name=name)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a table in Markdown."""
    rows = [_HEADER, ("---",) * len(_HEADER), *(outcome.cells for outcome in outcomes)]
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a table for a terminal, long cells on several lines."""
    rule = tuple("-" * width for width in _WIDTHS)
    rows = [_HEADER, rule, *(outcome.cells for outcome in outcomes)]
    return "\n".join(line for row in rows for line in _wrapped(row))


def _wrapped(row: Sequence[str]) -> list[str]:
    cells = [textwrap.wrap(cell, width) for cell, width in zip(row, _WIDTHS, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, _WIDTHS, strict=True)).rstrip()
        for line in zip_longest(*cells, fillvalue="")
    ]
