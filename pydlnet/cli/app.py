"""The commands: their options and help; what they do is in modules of their own."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .completion import EXPERIMENTS, complete_backend, complete_experiment, complete_setting

__all__ = ["main"]

_EXIT_CODES = (
    "Exit codes: 0 done, also when the steps ran out before a stop condition held; "
    "1 the run diverged (what was recorded is saved); 2 bad input; "
    "130 interrupted with Ctrl-C (what `run` recorded is saved)."
)

_SWEEP_EXIT_CODES = (
    "Exit codes: 0 all points are done, whatever became of their runs; 1 some failed; 2 bad input, "
    "or the workers are gone; 130 interrupted with Ctrl-C. What is done is kept in any case."
)

_WATCH_EXIT_CODES = (
    "Exit codes: 0 the run has ended; 1 it diverged, was interrupted or killed; 2 bad input, or "
    "the store is damaged; 130 left with Ctrl-C."
)

app = typer.Typer(
    name="pydlnet",
    help="Trajectories of gradient descent over deep linear networks.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import pydlnet

        from .text import say

        say(f"pydlnet {pydlnet.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Trajectories of gradient descent over deep linear networks."""


@app.command(short_help="Complete a low-rank matrix at depths 1, 2 and 3.")
def demo(
    output: Annotated[
        Path, typer.Option(help="Folder for datasets and picture.", metavar="DIR")
    ] = Path("pydlnet-demo"),
    seed: Annotated[int, typer.Option(help="Seed of matrix, entries and starts.", min=0)] = 0,
) -> None:
    """Complete a low-rank matrix at depths 1, 2 and 3, in under a minute.

    Prints a table and writes depth1.nc, depth2.nc, depth3.nc and demo.png, replacing those of an
    earlier demo in the same folder.
    """
    from .demo import run_demo

    raise typer.Exit(run_demo(output, seed))


@app.command(epilog=_EXIT_CODES)
def run(
    file: Annotated[Path, typer.Argument(help="Experiment file.", metavar="FILE.toml")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a key of the file, such as method.learning_rate=0.1 or data=PATH; the "
            "value is TOML or else a string. May be repeated.",
            autocompletion=complete_setting,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would run and how large the output gets."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.")
    ] = False,
) -> None:
    """Run an experiment file and save its trajectory.

    The file has the sections [problem], [start], [method], [record], [stop], [run] and [output];
    their keys are the parameters of the Python functions that `kind` names. `data` at the top names
    a .npy, .npz or .csv file or the gas sensor archive, relative to the file; paths from --set or
    from an environment variable such as "$HOME/x.npz", and outputs, are relative to the current
    directory.
    """
    from .run import run_file

    raise typer.Exit(run_file(file, settings or [], dry_run=dry_run, overwrite=overwrite))


@app.command(
    epilog=_SWEEP_EXIT_CODES, short_help="Run an experiment file at every point of a grid."
)
def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file.", metavar="FILE.toml")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a key of the file, such as run.n_steps=1000 or output.path=DIR. May be "
            "repeated.",
            autocompletion=complete_setting,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in a folder that holds points already.")
    ] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Compute points again that are done.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            help="threads (default), processes or dask: workers on this machine, or those of "
            "--scheduler.",
            metavar="BACKEND",
            autocompletion=complete_backend,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Dask scheduler, such as tcp://10.0.0.1:8786; its workers must see the folder.",
            metavar="ADDRESS",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Points at a time; as many as cores if not given.", min=1),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Compute only the K-th of N parts, 1 <= K <= N; implies --resume.", metavar="K/N"
        ),
    ] = None,
    list_points: Annotated[
        bool, typer.Option("--list", help="Print the points and their state, and compute nothing.")
    ] = False,
) -> None:
    """Run an experiment file at every point of a grid and keep all trajectories.

    The file is one for `run` with a section [grid]: lists of values for keys of other sections,
    such as "method.learning_rate" = [0.01, 0.1], of which all combinations are run. The folder is
    output.path. Points that are done are kept; those that failed are tried again.
    """
    from .sweep import sweep_file

    workers: dict[str, Any] = {"backend": backend, "scheduler": scheduler, "jobs": jobs}
    how: dict[str, Any] = {
        "resume": resume,
        "recompute": recompute,
        "shard": shard,
        "list_points": list_points,
    }
    raise typer.Exit(sweep_file(file, settings or [], **workers, **how))


@app.command(epilog=_EXIT_CODES, short_help="Run the experiments of a paper again.")
def reproduce(
    experiment: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(EXPERIMENTS[:-1])} or {EXPERIMENTS[-1]}.",
            metavar="EXPERIMENT",
            autocompletion=complete_experiment,
        ),
    ],
    full: Annotated[
        bool, typer.Option("--full", help="The paper's whole grid instead of some minutes' worth.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; pydlnet-EXPERIMENT if not given.", metavar="DIR"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.", min=0)] = 0,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads that share the work; all cores if not given.", min=1),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="For acceleration and convergence: the gas sensor archive, from "
            "https://doi.org/10.24432/C5MK6M; without it made-up data is used, and said to be.",
            metavar="ARCHIVE",
        ),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            help="For low-rank: ratings, which are completed as well: MovieLens-100K as "
            "downloaded, or any table with the columns user, item and value.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Run the experiments of a paper again and set its claims beside what comes out.

    Writes a dataset (.nc) and a figure (.png, .svg) for each part when it is done, and at the end
    summary.md: claim, paper, measured, agrees. Files of an earlier run are replaced.
    """
    from .reproduce import reproduce as run_experiment

    settings = {"full": full, "seed": seed, "data": data, "ratings": ratings}
    threads = threads or os.cpu_count() or 1
    raise typer.Exit(run_experiment(experiment, output, threads=threads, **settings))


@app.command(short_help="Print what a saved run, a store or a sweep holds.")
def show(
    path: Annotated[
        Path,
        typer.Argument(
            help="What a run or an ensemble saved, a .nc file or a .zarr folder; or a sweep's "
            "folder."
        ),
    ],
) -> None:
    """Print what a saved run, a store, an ensemble or a sweep holds, also while it is written."""
    from .show import show_path

    raise typer.Exit(show_path(path))


@app.command(short_help="Write one page about a run, an ensemble or a sweep.")
def report(
    path: Annotated[
        Path,
        typer.Argument(
            help="What a run or an ensemble saved, a .nc file or a .zarr folder; a run's store; or "
            "a sweep's folder."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Page to write; replaced if it exists.", metavar="HTML"
        ),
    ] = Path("report.html"),
    experiment: Annotated[
        Path | None,
        typer.Option(
            help="The experiment file of the run: with its problem, theory is laid over the "
            "measurement, and the page says how the run is repeated.",
            metavar="FILE.toml",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a key of the experiment file, as it was for the run. May be repeated.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", metavar="TEXT")] = None,
) -> None:
    """Write one page about a run, an ensemble or a sweep, which opens offline in any browser.

    It has the recorded curves, the end-to-end matrix with a slider over the steps, what theory
    says, parameters, versions, and how to repeat it. Needs pip install "pydlnet[report]".
    """
    from .report import report_path

    raise typer.Exit(report_path(path, output, experiment, settings or [], title))


@app.command(epilog=_WATCH_EXIT_CODES, short_help="Follow a run in the terminal.")
def watch(
    path: Annotated[
        Path,
        typer.Argument(
            help="The store of a run (run with store=PATH, or output.store in an experiment file), "
            "which may not be there yet.",
            metavar="PATH.zarr",
        ),
    ],
    interval: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two looks; 1 in a terminal and 10 elsewhere if not given.",
            min=0.1,
            metavar="SECONDS",
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            help="Seconds to wait for a store that is not there yet; any time if not given.",
            min=0.0,
            metavar="SECONDS",
        ),
    ] = None,
) -> None:
    """Follow a run in the terminal: loss, effective rank, speed, time left.

    Ends when the run has ended. Outside of a terminal it prints a line for what is new. The run
    does not notice: Ctrl-C leaves it running.
    """
    from .watch import watch_path

    raise typer.Exit(watch_path(path, interval, wait))


@app.command()
def info() -> None:
    """Print versions, instruction sets and processor."""
    from .info import print_info

    raise typer.Exit(print_info())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program. Default: those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 the run diverged or points of a sweep failed, 2 bad input, 130
        interrupted.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="pydlnet")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, MemoryError, ImportError, RuntimeError) as error:
        text = str(error) or type(error).__name__
        lines = [text, *getattr(error, "__notes__", [])]
        print(f"error: {' '.join(' '.join(lines).split())}", file=sys.stderr)
        return 2
    return 0
