"""How a run is repeated: the lines of Python, and the experiment file if there was one."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pydlnet

from ..flows import GradientFlow
from ..recording import Record
from ..trajectory import Trajectory

__all__ = ["python_of", "record_text"]

_DATA = (
    *("target", "inputs", "outputs", "labels", "values", "rows", "columns", "measurements"),
    "function",
)


def python_of(trajectory: Trajectory, path: Path | None) -> str:
    """Return the code that runs this again, with what it cannot know named in comments."""
    attributes = trajectory.data.attrs
    is_flow = isinstance(trajectory.method, GradientFlow)
    end = f"until={trajectory.state.time[0]!r}" if is_flow else f"n_steps={trajectory.step}"
    seed = "" if trajectory.state.seed is None else f", rng={trajectory.state.seed}"
    lines = [
        "import pydlnet as dln",
        "",
        *_problem(json.loads(attributes["problem"])),
        *_start(trajectory, path),
        f"method = {_method(trajectory.method)}",
        f"record = {record_text(trajectory.record, is_flow=is_flow)}",
        f"trajectory = dln.run(problem, weights, method, {end}, record=record{seed})",
    ]
    if path is not None:
        more = "until=..." if is_flow else "n_steps=..."
        lines += [
            "",
            "# or go on from where it ended:",
            f"trajectory = dln.run(problem, dln.open({str(path)!r}), {more})",
        ]
    return "\n".join(lines)


def _problem(problem: Mapping[str, Any]) -> list[str]:
    kind = str(problem["kind"])
    known = {name: value for name, value in problem.items() if name not in ("kind", "digest")}
    factory = getattr(pydlnet, kind, None)
    parameters = inspect.signature(factory).parameters if factory is not None else {}
    written = {name: f"{name}={value!r}" for name, value in known.items()}
    written |= {name: name for name in _DATA}
    written["shape"] = str(tuple(problem["shape"]))
    given = [written[name] for name in parameters if name in written]
    shape = " x ".join(map(str, problem["shape"]))
    return [
        f"# the problem, of shape {shape}; its data have the SHA-256 {problem['digest']}",
        f"problem = dln.{kind}({', '.join(given)})",
    ]


def _start(trajectory: Trajectory, path: Path | None) -> list[str]:
    widths = ", ".join(map(str, trajectory.widths))
    depth = len(trajectory.widths) - 1
    if path is not None and all(f"W{j}" in trajectory.data for j in range(1, depth + 1)):
        return [
            f"start = dln.open({str(path)!r}).data.isel(step=0)",
            f'weights = [start[f"W{{j}}"].values for j in range(1, {depth + 1})]',
        ]
    dtype = trajectory.data.attrs["dtype"]
    return [
        f"# the start, layers of widths ({widths}) in {dtype}, was not recorded: record "
        '"weights" to keep it',
        "weights = ...",
    ]


def _method(method: Any) -> str:
    settings = [
        f"{field.name}={_setting(getattr(method, field.name))}"
        for field in dataclasses.fields(method)
    ]
    return f"dln.{type(method).__name__}({', '.join(settings)})"


def _setting(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _brief(value.tolist())
    return "..." if callable(value) else repr(value)


def record_text(record: Record, *, is_flow: bool) -> str:
    """Return what was recorded, as it is written in Python."""
    described = record.to_dict()
    names = ", ".join([json.dumps(name) for name in described["quantities"]])
    own = ", ".join(f"{{{json.dumps(name)}: ...}}" for name in described["callables"])
    quantities = ", ".join(filter(None, [names, own]))
    when = _times(described["times"]) if is_flow else _steps(described["schedule"])
    return f"dln.Record([{quantities}]{when})"


def _times(times: Mapping[str, Any] | None) -> str:
    is_given = times is not None and times["kind"] == "explicit"
    return f", times={_brief(times['times'])}" if times is not None and is_given else ""


def _steps(schedule: Mapping[str, Any]) -> str:
    if schedule["kind"] == "every":
        return f", every={schedule['every']}"
    if schedule["kind"] == "log_spaced":
        return f", steps=dln.log_spaced({schedule['n']}, until={schedule['until']})"
    return f", steps={_brief(schedule['steps'])}"


def _brief(values: list[Any]) -> str:
    if len(values) <= 12:
        return str(values)
    shown = ", ".join(map(str, values[:6]))
    return f"[{shown}, ...]  # {len(values)} of them, up to {values[-1]}\n"
