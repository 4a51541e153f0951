"""``pydlnet run``: run an experiment file, or say what it would do."""

import math
import reprlib
from pathlib import Path
from typing import Any

import pydlnet as dln
from pydlnet import quantities

from .build import Experiment, build
from .config import Config, check_keys, load
from .picture import draw_run
from .text import describe, size

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
    experiment = build(config)
    experiment.problem.check_shape(experiment.widths)
    if picture and "loss" not in experiment.record.names:
        raise ValueError('output.picture: needs "loss" in record.quantities')
    print(_summary(config, experiment, output))
    if dry_run:
        return 0
    for file in (output, picture):
        _prepare(file, overwrite)
    trajectory = dln.run(
        experiment.problem,
        experiment.weights,
        experiment.method,
        record=experiment.record,
        stop=experiment.stop,
        **experiment.run,
    )
    trajectory.save(output)
    print(f"\n{_outcome(trajectory)}\nsaved {output} (see it with: pydlnet show {output})")
    if picture:
        draw_run(trajectory, picture)
        print(f"drew {picture}")
    return {"diverged": 1, "interrupted": 130}.get(trajectory.status, 0)


def _outputs(config: Config) -> tuple[Path, Path | None]:
    section = config.sections["output"]
    check_keys(section, ("path", "picture"), where="[output]")
    for key, value in section.items():
        if not isinstance(value, str):
            raise TypeError(f"output.{key}: expected a path, got {value!r}")
    output = Path(section.get("path", f"{config.name}.nc"))
    if output.suffix not in _ENDINGS:
        raise ValueError(f"output.path: expected a name ending in .nc or .zarr, got '{output}'")
    return output, Path(section["picture"]) if "picture" in section else None


def _prepare(file: Path | None, overwrite: bool) -> None:
    """Find out before the run, not after it, that a file cannot be written."""
    if file is None:
        return
    if file.exists() and not overwrite:
        raise ValueError(f"output: {str(file)!r} exists; replace it with --overwrite")
    file.parent.mkdir(parents=True, exist_ok=True)


def _summary(config: Config, experiment: Experiment, output: Path) -> str:
    rows = [("problem", repr(experiment.problem))]
    rows += [("", note) for note in experiment.notes]
    parameters = sum(layer.size for layer in experiment.weights)
    widths = "-".join(map(str, experiment.widths))
    rows += [
        ("network", f"widths {widths}, {parameters:,} parameters, {experiment.weights[0].dtype}"),
        ("start", _keys(config.sections["start"])),
        ("method", " ".join(repr(experiment.method).split())),
        ("steps", _steps(experiment)),
        ("record", _records(experiment)),
        ("output", f"{output}, {_size(experiment)}"),
    ]
    return describe(rows)


def _keys(section: dict[str, Any]) -> str:
    keys = ", ".join(
        f"{key}={reprlib.repr(value)}" for key, value in section.items() if key != "kind"
    )
    return f"{section['kind']}({keys})"


def _steps(experiment: Experiment) -> str:
    text = f"{experiment.run['n_steps']:,}"
    stop = experiment.stop
    if stop is None:
        return text
    limits = [("loss", stop.loss), ("gradient norm", stop.gradient_norm)]
    reasons = [f"the {name} is at most {limit:g}" for name, limit in limits if limit is not None]
    if stop.seconds is not None:
        reasons.append(f"{stop.seconds:g} s have passed")
    return f"{text}, fewer as soon as {' or '.join(reasons)}" if reasons else text


def _count(experiment: Experiment) -> int:
    """Return how many records there are if the run goes to its last step."""
    last = experiment.run["n_steps"]
    scheduled = experiment.record.schedule.steps_between(0, last, _COUNTED)
    return len(scheduled) + (len(scheduled) < _COUNTED and scheduled[-1] != last)


def _records(experiment: Experiment) -> str:
    count = _count(experiment)
    bound = "at least" if count >= _COUNTED else "at most" if experiment.stop else "in all"
    return f"{', '.join(experiment.record.names)}; {count:,} records {bound}"


def _size(experiment: Experiment) -> str:
    sizes = quantities.dim_sizes(experiment.widths)
    variables = quantities.variables(experiment.record.names, experiment.widths)
    entries = sum(
        math.prod(sizes[dim] for dim in variable.dims if dim != "step")
        for variable in variables.values()
    )
    per_record = 8 * (entries + 1 + experiment.method.has_time)  # step and time are coordinates
    final = sum(layer.nbytes for layer in experiment.weights)
    return (
        f"about {size(_count(experiment) * per_record)} of records ({size(per_record)} each) "
        f"and {size(final)} of final layers"
    )


def _outcome(trajectory: dln.Trajectory) -> str:
    data = trajectory.data
    seconds = float(data.attrs["wall_seconds"])
    text = f"{trajectory.status} after {trajectory.step:,} steps in {seconds:.2f} s"
    if "loss" in data:
        text += f", loss {float(data['loss'][-1]):.4g}"
    return f"{text}, {data.sizes['step']} records"
