"""Problem, start, method, record and stop out of the sections of an experiment file.

The keys of a section are the parameters of the public function or class that its `kind` names, read
from the signature, so a keyword that is added there works here at once. Only what a file can say
better than a call is added: arrays are named, `start` may give `depth` and `hidden_width` in place
of `widths`, and `record` may give `log_spaced`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import pydlnet as dln
from pydlnet._validation import as_count, as_matrix, as_real, widths_of

from .config import Config, check_keys
from .signatures import Section, as_flag, call, find_kind, located, parameters
from .sources import Source, read
from .whole_files import WHOLE, WholeFile

__all__ = ["Experiment", "build", "draws"]

# Arguments that are arrays: a string in the file is the name of one in `data`.
_ARRAYS = frozenset(
    {"inputs", "outputs", "labels", "target", "rows", "columns", "values", "measurements"}
    | {"matrix", "mask", "ground_truth", "held_out"}
)

# Those of them that are tuples of arrays: a list of names is not one of columns to stack.
_TUPLES = frozenset({"held_out"})

_MOST_STEPS = 10**18  # more than anybody can take, and what 64-bit integers hold
_LARGEST_DEPTH = 10_000  # more would fill the memory before anything is said


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs.

    Parameters
    ----------
    problem : pydlnet.problems.Problem
        What is minimised.
    weights : list of ndarray
        The start.
    method : pydlnet.methods.Method
        How.
    record : pydlnet.Record
        What to keep.
    stop : pydlnet.Stop or None
        When to end early.
    run : dict of str to object
        Keywords of `pydlnet.run`: n_steps or until, rng.
    notes : list of str
        What was done to the data, for the user.
    """

    problem: Any
    weights: list[NDArray[Any]]
    method: Any
    record: dln.Record
    stop: dln.Stop | None
    run: dict[str, Any]
    notes: list[str]

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the network, input first."""
        return widths_of(self.weights)

    @property
    def is_flow(self) -> bool:
        """Whether it runs until a time, and not for a number of steps."""
        return isinstance(self.method, dln.GradientFlow)

    def execute(self, **keywords: Any) -> dln.Trajectory:
        """Run, with keywords of `pydlnet.run` in place of those in the file."""
        return dln.run(
            self.problem,
            self.weights,
            self.method,
            record=self.record,
            stop=self.stop,
            **{**self.run, **keywords},
        )


def build(config: Config, source: Source | None = None) -> Experiment:
    """Read the data and make every part of an experiment.

    Parameters
    ----------
    config : Config
        A checked experiment file.
    source : Source, optional
        Its data, if that has been read before.

    Returns
    -------
    Experiment
        Ready to run.

    Raises
    ------
    ValueError, TypeError
        Naming section and key.
    """
    sections = config.sections
    if source is None:
        source = read(config.data, config.gas, sections["problem"].get("kind") in WHOLE)
    notes: list[str] = []
    problem = _problem(sections["problem"], source, notes)
    weights = _start(sections["start"], problem.shape, source)
    method = _by_kind("method", sections["method"], _methods())
    return Experiment(
        problem=problem,
        weights=weights,
        method=method,
        record=_record(sections["record"]),
        stop=call("stop", dln.Stop, sections["stop"]) if sections["stop"] else None,
        run=_run_keywords(sections["run"], isinstance(method, dln.GradientFlow)),
        notes=notes,
    )


def draws(name: str, section: Section) -> bool:
    """Say whether a section asks for random numbers without giving `rng`."""
    if name == "run":
        return "rng" not in section
    kinds = _problems(WholeFile(None)) if name == "problem" else _starts()
    return "rng" not in section and "rng" in parameters(find_kind(name, section, kinds)[1])


def _problems(whole: WholeFile) -> dict[str, Callable[..., Any]]:
    return {
        "ratings": whole.ratings,
        "image": whole.image,
        "TargetMatrix": dln.TargetMatrix,
        "Regression": dln.Regression,
        "whiten": dln.whiten,
        "Classification": dln.Classification,
        "MatrixCompletion": dln.MatrixCompletion,
        "MatrixCompletion.from_dense": dln.MatrixCompletion.from_dense,
        "MatrixCompletion.synthetic": dln.MatrixCompletion.synthetic,
        "MatrixSensing": dln.MatrixSensing,
        "MatrixSensing.synthetic": dln.MatrixSensing.synthetic,
    }


def _methods() -> dict[str, Callable[..., Any]]:
    return {
        method.__name__: method
        for method in (
            dln.GradientDescent,
            dln.Momentum,
            dln.GroupRMSprop,
            dln.RMSprop,
            dln.Adam,
            dln.AdaGrad,
            dln.AdaDelta,
            dln.EndToEndDescent,
            dln.GradientFlow,
        )
    }


def _starts() -> dict[str, Callable[..., Any]]:
    names = ("balanced", "balanced_from", "gaussian", "uniform", "orthogonal", "identity")
    return {name: getattr(dln.init, name) for name in (*names, "spectral")}


def _problem(section: Section, source: Source, notes: list[str]) -> Any:
    kind, factory = find_kind("problem", section, _problems(source.whole))
    own = {"whiten": ("center", "normalize_target"), "Regression": ("center",)}.get(kind, ())
    options = {key: as_flag("problem", key, section.get(key, False)) for key in own}
    keywords = {key: value for key, value in section.items() if key not in ("kind", *own)}
    check_keys(keywords, [*parameters(factory), *own], where=f"[problem] {kind}")
    keywords = _with_arrays("problem", factory, keywords, source)
    if options.get("center"):
        _center(keywords, notes)
    problem = call("problem", factory, keywords)
    return _whitened(problem, options["normalize_target"], notes) if kind == "whiten" else problem


def _center(keywords: dict[str, Any], notes: list[str]) -> None:
    """Subtract the mean of each column, which a network without biases cannot fit."""
    for name in ("inputs", "outputs"):
        given = keywords[name]
        array = located("problem", partial(as_matrix, name=name), given)
        centred = array - array.mean(axis=0)
        is_table = isinstance(given, pd.DataFrame)
        keywords[name] = pd.DataFrame(centred, columns=given.columns) if is_table else centred
    notes.append("inputs and outputs centred")


def _whitened(whitened: Any, normalize: bool, notes: list[str]) -> Any:
    target, constant = whitened.problem.target, whitened.constant
    names = whitened.problem.coords
    notes.append("inputs whitened: the loss is 1/2 |W - target|^2 plus a constant")
    if normalize:
        norm = float(np.sqrt(np.sum(target**2)))
        if norm == 0.0:
            raise ValueError("problem.normalize_target: the target is zero")
        target, constant = target / norm, constant / norm**2
        notes.append("outputs scaled so that the target has norm 1")
    notes.append(f"no linear map gets below the constant, {constant:.6g}; losses leave it out")
    return dln.TargetMatrix(target).assign_coords(**names)


def _start(section: Section, shape: tuple[int, int], source: Source) -> list[NDArray[Any]]:
    kind, factory = find_kind("start", section, _starts())
    own = ("depth", "hidden_width")
    keywords = {key: value for key, value in section.items() if key not in ("kind", *own)}
    check_keys(keywords, [*parameters(factory), *own], where=f"[start] {kind}")
    if "widths" in keywords and any(key in section for key in own):
        raise ValueError("[start]: give either widths, or depth and hidden_width")
    keywords.setdefault("widths", _widths(section, shape))
    keywords = _with_arrays("start", factory, keywords, source)
    weights: list[NDArray[Any]] = call("start", factory, keywords)
    return weights


def _widths(section: Section, shape: tuple[int, int]) -> list[int]:
    if "widths" in section:
        return []
    if "depth" not in section:
        raise ValueError("[start]: expected widths, or depth and hidden_width")
    depth = as_count(section["depth"], "start.depth", 1, _LARGEST_DEPTH)
    if depth > 1 and "hidden_width" not in section:
        raise ValueError("[start]: expected hidden_width, the width of all hidden layers")
    hidden = as_count(section.get("hidden_width", 1), "start.hidden_width", 1)
    return [shape[1], *[hidden] * (depth - 1), shape[0]]


def _record(section: Section) -> dln.Record:
    keywords = dict(section)
    check_keys(keywords, [*parameters(dln.Record), "log_spaced"], where="[record]")
    if "log_spaced" in keywords:
        given = keywords.pop("log_spaced")
        if "steps" in keywords or "every" in keywords:
            raise ValueError("[record]: give one of log_spaced, every and steps")
        arguments = given if isinstance(given, dict) else {"n": given}
        keywords["steps"] = call("record.log_spaced", dln.log_spaced, arguments)
    record: dln.Record = call("record", dln.Record, keywords)
    return record


def _run_keywords(section: Section, is_flow: bool) -> dict[str, Any]:
    end, other = ("until", "n_steps") if is_flow else ("n_steps", "until")
    known = [
        name
        for name in parameters(dln.run)
        if name not in ("problem", "weights", "method", "record", "stop", other)
    ]
    check_keys(section, known, where="[run]")
    if end not in section:
        raise ValueError(f"[run]: {end} is missing")
    if is_flow:
        as_real(section[end], "run.until", minimum=0.0)
    else:
        as_count(section[end], "run.n_steps", 0, _MOST_STEPS)
    return dict(section)


def _by_kind(name: str, section: Section, kinds: Mapping[str, Callable[..., Any]]) -> Any:
    _, factory = find_kind(name, section, kinds)
    return call(name, factory, {key: value for key, value in section.items() if key != "kind"})


def _with_arrays(
    name: str, factory: Callable[..., Any], keywords: Mapping[str, Any], source: Source
) -> dict[str, Any]:
    """Put the arrays of `data` in place of their names, and of arguments that are missing."""
    values = [value if isinstance(value, list) else [value] for value in keywords.values()]
    named = [part for parts in values for part in parts if isinstance(part, str)]
    result = dict(keywords)
    for argument, parameter in inspect.signature(factory).parameters.items():
        if argument not in _ARRAYS:
            continue
        if argument in keywords:
            rest = source.without(named) if keywords[argument] == "*" else source
            pick = rest.pick_each if argument in _TUPLES else rest.pick
            value = located(f"{name}.{argument}", pick, keywords[argument])
        elif parameter.default is parameter.empty:
            value = located(f"{name}.{argument}", source.default, argument)
        else:
            continue
        result[argument] = _as_samples(argument, value)
    return result


def _as_samples(argument: str, value: Any) -> Any:
    """Make one column of a table a matrix where samples of vectors are expected."""
    if argument not in ("inputs", "outputs") or getattr(value, "ndim", 0) != 1:
        return value
    return value.to_frame() if isinstance(value, pd.Series) else value[:, np.newaxis]
