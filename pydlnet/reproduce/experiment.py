"""An experiment as a function: check the settings, write each part as it is done, sum up."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .. import _core
from .._validation import as_count, as_threads
from .._version import VERSION
from ..interruption import latest_run_heard_ctrl_c
from .report import Outcome, Part, Settings, markdown, table, write, write_text

__all__ = ["Experiment", "Report", "unbroken"]

SUMMARY = "summary.md"


class _HasStatus(Protocol):
    @property
    def status(self) -> str | tuple[str, ...]: ...


Run = TypeVar("Run", bound=_HasStatus)


def unbroken(run: Run) -> Run:
    """Return a trajectory or an ensemble that was just run as it is, but not after Ctrl-C.

    Raises
    ------
    KeyboardInterrupt
        If any of it is interrupted: a part of an experiment is no outcome. Also if Ctrl-C came when
        the run, a short one perhaps, was already at its end.
    """
    ends = (run.status,) if isinstance(run.status, str) else run.status
    if "interrupted" in ends or latest_run_heard_ctrl_c():
        raise KeyboardInterrupt
    return run


@dataclass(frozen=True, eq=False)
class Report:
    """What came out of an experiment.

    Attributes
    ----------
    parts : tuple of Part
        In the order in which they were done.
    seconds : float
        Wall time of the whole.
    summary : str
        What the file `summary.md` says.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> from pydlnet.reproduce import Experiment, Outcome, Part
    >>> outcome = Outcome("two and two", "4", str(2 + 2), True)
    >>> part = Part("sums", xr.Dataset({"sum": 4}), Figure(), (outcome,), used="two numbers")
    >>> experiment = Experiment("arithmetic", "an example", parts=lambda settings: iter([part]))
    >>> report = experiment(say=lambda text: None)
    >>> [(outcome.claim, outcome.measured) for outcome in report.outcomes]
    [('two and two', '4')]
    """

    parts: tuple[Part, ...]
    seconds: float
    summary: str

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The rows of the table."""
        return tuple(outcome for part in self.parts for outcome in part.outcomes)


@dataclass(frozen=True)
class Experiment:
    """The experiments of a paper; call it to run them.

    Attributes
    ----------
    name : str
        As on the command line.
    paper : str
        What is reproduced.
    parts : callable
        Takes `Settings` and yields each `Part` when it is done.
    options : tuple of str
        Which of `data` and `ratings` apply.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> from pydlnet.reproduce import Experiment, Outcome, Part
    >>> outcome = Outcome("two and two", "4", str(2 + 2), True)
    >>> part = Part("sums", xr.Dataset({"sum": 4}), Figure(), (outcome,), used="two numbers")
    >>> experiment = Experiment("arithmetic", "an example", parts=lambda settings: iter([part]))
    >>> report = experiment("folder", say=lambda text: None)  # or print
    >>> report.summary.splitlines()[4]
    '| two and two | 4 | 4 | yes |'
    """

    name: str
    paper: str
    parts: Callable[[Settings], Iterator[Part]]
    options: tuple[str, ...] = ()

    def __call__(
        self,
        output: str | Path | None = None,
        *,
        full: bool = False,
        seed: int = 0,
        threads: int = 1,
        data: str | Path | None = None,
        ratings: str | Path | None = None,
        say: Callable[[str], None] = print,
    ) -> Report:
        """Run the experiments and compare what comes out with the paper.

        Parameters
        ----------
        output : str or Path, optional
            Folder for the datasets, the figures and the summary, made if it does not exist; files
            of an earlier run are replaced. Default: nothing is written.
        full : bool, default False
            The paper's whole grid instead of one that takes minutes.
        seed : int, default 0
            What all random numbers follow from, at least 0.
        threads : int, default 1
            How many threads share the work, at least 1. No number depends on it.
        data : str or Path, optional
            The archive for `datasets.gas_sensor`; without it made-up data is used: measurements of
            the same shape and conditioning, or for `convergence` a random direction, which is all
            that enters. Every output says which.
        ratings : str or Path, optional
            Ratings to complete: MovieLens as downloaded or unpacked, its file `u.data`, or any
            table that `datasets.ratings` reads; without it that part is left out.
        say : callable, default print
            Gets lines of text that say how far the experiment is, and the table.

        Returns
        -------
        Report
            With every part and the summary.

        Raises
        ------
        ValueError
            If `data` or `ratings` is given and does not apply, or is no such file; if `output` is
            a file or cannot be written to.
        KeyboardInterrupt
            On Ctrl-C. The parts that were complete are in the folder, without a summary; if none
            was, the folder is as it was before.
        """
        settings = self._settings(full, seed, threads, data, ratings, say)
        folder = None if output is None else _folder(Path(output))
        say(f"{self.name}: {self.paper}\n")
        began = time.monotonic()
        parts: list[Part] = []
        for part in self.parts(settings):
            if folder is not None:
                if not parts:  # from here on an earlier summary is not that of what is there
                    (folder / SUMMARY).unlink(missing_ok=True)
                write(part, folder, settings)
            parts.append(part)
            say(f"{part.name}: done after {time.monotonic() - began:.0f} s")
        seconds = time.monotonic() - began
        report = Report(tuple(parts), seconds, self._summary(settings, parts, seconds))
        if folder is not None:
            write_text(report.summary, folder / SUMMARY)
        say(f"\n{table(report.outcomes)}")
        return report

    def _settings(
        self, full: bool, seed: int, threads: int, data: Any, ratings: Any, say: Any
    ) -> Settings:
        files: dict[str, Path | None] = {}
        for name, value in (("data", data), ("ratings", ratings)):
            if value is not None and name not in self.options:
                raise ValueError(f"{name}: does not apply to {self.name}, which uses no such file")
            files[name] = None if value is None else Path(value)
            if value is not None and not Path(value).exists():
                raise ValueError(f"{name}: no file {str(value)!r}")
        if not isinstance(full, bool):
            raise TypeError(f"full: expected a bool, got {type(full).__name__}")
        return Settings(
            full=full, seed=as_count(seed, "seed"), threads=as_threads(threads), **files, say=say
        )

    def _summary(self, settings: Settings, parts: list[Part], seconds: float) -> str:
        outcomes = [outcome for part in parts for outcome in part.outcomes]
        used = [f"- {part.name}: {part.used}" for part in parts]
        facts = [
            f"- seed: {settings.seed}",
            f"- grid: {'full' if settings.full else 'default'}",
            f"- threads: {settings.threads}",
            f"- wall time: {seconds:.0f} s",
            f"- pydlnet {VERSION}, instruction set {_core.ISA}",
        ]
        blocks = [
            f"# {self.name}: {self.paper}",
            markdown(outcomes),
            "## Settings",
            "\n".join(facts),
            "## Data",
            "\n".join(used),
        ]
        return "\n\n".join(blocks) + "\n"


def _folder(folder: Path) -> Path:
    """Make the folder and a file in it that is gone at once: better now than after minutes."""
    try:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"output: expected a folder, but {str(folder)!r} is a file")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"output: cannot write to {str(folder)!r}: {error.strerror}") from error
    return folder
