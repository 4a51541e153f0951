"""``pydlnet run``: run an experiment file, or say what it would do."""

import reprlib
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pydlnet as dln
from pydlnet.interruption import noticing_interruption

from .build import Experiment, build
from .config import Config, check_keys, load
from .picture import PICTURE_ENDINGS, draw_run
from .text import describe, say, size

__all__ = ["run_file"]

_ENDINGS = (".nc", ".zarr")
_COUNTED = 10**7
"""Records that a dry run counts; nobody keeps more."""


def run_file(path: Path, settings: list[str], *, dry_run: bool, overwrite: bool) -> int:
    """Run an experiment file.

    Parameters
    ----------
    path : Path
        The experiment file.
    settings : list of str
        ``key=value``, in place of what the file says.
    dry_run : bool
        Only print what would run and how large the output gets.
    overwrite : bool
        Replace outputs that exist.

    Returns
    -------
    int
        Exit code: 0, 1 if the run diverged, 130 if it was interrupted.
    """
    config = load(path, settings)
    output, picture = _outputs(config)
    keeps = "store" in config.sections["output"]
    experiment = build(config)
    if picture and "loss" not in experiment.record.names:
        raise ValueError('output.picture: needs "loss" in record.quantities')
    if not experiment.is_flow:
        experiment.method.check_steps(experiment.run["n_steps"])
    # The record of step 0 shows whether everything fits together, and how large a record is.
    nothing: dict[str, Any] = {"until": 0.0} if experiment.is_flow else {"n_steps": 0}
    with noticing_interruption() as interruption:
        start = experiment.execute(**nothing, progress=False)
    if interruption:
        print("interrupted before the first step; nothing is saved", file=sys.stderr)
        return 130
    say(_summary(config, experiment, output, start.data))
    if dry_run:
        return 0
    # A store that exists is gone on in.
    for file in (None if keeps else output, picture):
        _prepare(file, overwrite)
    trajectory = experiment.execute(store=output if keeps else None)
    if not keeps:
        trajectory.save(output)
    verb = "kept in" if keeps else "saved"
    say(f"\n{_outcome(trajectory)}\n{verb} {output} (see it with: pydlnet show {output})")
    if picture:
        draw_run(trajectory, picture)
        say(f"drew {picture}")
    return {"diverged": 1, "interrupted": 130}.get(trajectory.status, 0)


def _outputs(config: Config) -> tuple[Path, Path | None]:
    section = config.sections["output"]
    check_keys(section, ("path", "store", "picture"), where="[output]")
    for key, value in section.items():
        if not isinstance(value, str):
            raise TypeError(f"output.{key}: expected a path, got {value!r}")
    if "path" in section and "store" in section:
        raise ValueError("output: expected either path or store, and not both")
    key = "store" if "store" in section else "path"
    output = Path(section.get(key, f"{config.name}.nc"))
    endings = (".zarr",) if key == "store" else _ENDINGS
    if output.suffix not in endings:
        known = " or ".join(endings)
        raise ValueError(f"output.{key}: expected a name ending in {known}, got '{output}'")
    if output.suffix == ".zarr" and find_spec("zarr") is None:
        raise ValueError(f"output.{key}: .zarr needs Zarr: pip install 'pydlnet[store]'")
    if "picture" not in section:
        return output, None
    picture = Path(section["picture"])
    if picture.suffix.lower() not in PICTURE_ENDINGS:
        known = ", ".join(PICTURE_ENDINGS)
        raise ValueError(f"output.picture: expected a name ending in {known}, got '{picture}'")
    return output, picture


def _prepare(file: Path | None, overwrite: bool) -> None:
    """Find out before the run, not after it, that a file cannot be written."""
    if file is None:
        return
    if file.exists() and not overwrite:
        raise ValueError(f"output: {str(file)!r} exists; replace it with --overwrite")
    if file.is_dir() and file.suffix != ".zarr":
        raise ValueError(f"output: expected a file or nothing at {str(file)!r}, got a folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise ValueError(f"output: cannot write {str(file)!r}: {error.strerror}") from None


def _summary(config: Config, experiment: Experiment, output: Path, record: Any) -> str:
    rows = [("problem", repr(experiment.problem))]
    rows += [("", note) for note in experiment.notes]
    parameters = sum(layer.size for layer in experiment.weights)
    widths = "-".join(map(str, experiment.widths))
    rows += [
        ("network", f"widths {widths}, {parameters:,} parameters, {experiment.weights[0].dtype}"),
        ("start", _keys(config.sections["start"])),
        ("method", " ".join(repr(experiment.method).split())),
        ("until" if experiment.is_flow else "steps", _end(experiment)),
        ("record", _records(experiment)),
        ("algebra", record.attrs["exact_algebra"]),
        ("output", f"{output}, {_size(experiment, record.nbytes)}"),
    ]
    return describe(rows)


def _keys(section: dict[str, Any]) -> str:
    keys = ", ".join(
        f"{key}={reprlib.repr(value)}" for key, value in section.items() if key != "kind"
    )
    return f"{section['kind']}({keys})"


def _end(experiment: Experiment) -> str:
    run, is_flow = experiment.run, experiment.is_flow
    text = f"time {run['until']:g}" if is_flow else f"{run['n_steps']:,}"
    stop = experiment.stop
    if stop is None:
        return text
    limits = [("loss", stop.loss), ("gradient norm", stop.gradient_norm)]
    reasons = [f"the {name} is at most {limit:g}" for name, limit in limits if limit is not None]
    if stop.seconds is not None:
        reasons.append(f"{stop.seconds:g} s have passed")
    less = "earlier if" if is_flow else "fewer as soon as"
    return f"{text}, {less} {' or '.join(reasons)}" if reasons else text


def _count(experiment: Experiment) -> int:
    """Return how many records there are if the run goes to its end."""
    if experiment.is_flow:
        times, until = experiment.record.times, float(experiment.run["until"])
        after = [] if times is None else times.after(0.0, until).tolist()
        return 1 + len(after) + int([0.0, *after][-1] != until)
    last = experiment.run["n_steps"]
    scheduled = experiment.record.schedule.steps_between(0, last, _COUNTED)
    return len(scheduled) + (len(scheduled) < _COUNTED and scheduled[-1] != last)


def _records(experiment: Experiment) -> str:
    count = _count(experiment)
    bound = "at least" if count >= _COUNTED else "at most" if experiment.stop else "in all"
    return f"{', '.join(experiment.record.names)}; {count:,} records {bound}"


def _size(experiment: Experiment, record_size: int) -> str:
    final = sum(layer.nbytes for layer in experiment.weights)
    return (
        f"about {size(_count(experiment) * record_size)} of records ({size(record_size)} each) "
        f"and {size(final)} of final layers"
    )


def _outcome(trajectory: dln.Trajectory) -> str:
    data = trajectory.data
    seconds = float(data.attrs["wall_seconds"])
    gone = f"after {trajectory.step:,} steps"
    if isinstance(trajectory.method, dln.GradientFlow):
        gone = f"at time {trajectory.state.time[0]:g} after {data.attrs['n_accepted']:,} steps"
    text = f"{trajectory.status} {gone} in {seconds:.2f} s"
    if "loss" in data:
        text += f", loss {float(data['loss'][-1]):.4g}"
    return f"{text}, {data.sizes['step']} records"
