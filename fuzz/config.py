"""Experiment files: made up from the bytes, and good ones with odd settings."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pydlnet.cli.build import build
from pydlnet.cli.config import load

from .draws import ODD_NUMBERS, Draws

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
FILE = FOLDER / "experiment.toml"
KINDS = {
    "problem": ("TargetMatrix", "Regression", "Classification", "MatrixCompletion",
                "MatrixSensing", "whiten", "low_rank", "EndToEndLoss", "nonsense"),
    "start": ("balanced", "gaussian", "uniform", "orthogonal", "identity", "near_identity"),
    "method": ("GradientDescent", "Momentum", "Adam", "AdaGrad", "AdaDelta", "RMSprop",
               "GroupRMSprop", "EndToEndDescent", "GradientFlow"),
}  # fmt: skip
KEYS = (
    "kind", "target", "inputs", "outputs", "labels", "power", "reduction", "rows", "columns",
    "values", "shape", "measurements", "ground_truth", "held_out", "center", "normalize_target",
    "n_classes", "depth", "hidden_width", "widths", "scale", "std", "rng", "dtype",
    "end_to_end_scale", "learning_rate", "momentum", "nesterov", "weight_decay", "beta1", "beta2",
    "epsilon", "decay", "batch_size", "rtol", "atol", "quantities", "every", "steps", "times",
    "log_spaced", "loss", "gradient_norm", "seconds", "check_every", "n_steps", "until", "path",
    "picture", "threads", "exact_compression",
)  # fmt: skip
WORDS = (
    "loss", "singular_values", "weights", "inputs", "outputs", "labels", "matrix",
    "float32", "mean", "sum", "*", "", "inf", "1_000", "alignment",
    "rows", "columns", "values",
)  # fmt: skip
SECTIONS = ("problem", "start", "method", "record", "stop", "run", "output")

BASE = """
data = "data.npz"
[problem]
kind = "TargetMatrix"
target = "matrix"
[start]
kind = "balanced"
depth = 2
hidden_width = 3
scale = 0.1
rng = 0
[method]
kind = "GradientDescent"
learning_rate = 0.1
[run]
n_steps = 3
"""

np.savez(
    FOLDER / "data.npz",
    matrix=np.arange(6.0).reshape(2, 3),
    inputs=np.arange(12.0).reshape(4, 3),
    outputs=np.arange(8.0).reshape(4, 2),
    labels=np.array([0, 1, 0, 1]),
    rows=np.array([0, 1, 1]),
    columns=np.array([0, 2, 1]),
    values=np.array([1.0, 2.0, 3.0]),
    empty=np.empty((0, 3)),
)


def check(data: bytes) -> None:
    """Load a file, build what it describes and run that for a moment."""
    draws = Draws(data)
    if draws.is_odd(4):
        FILE.write_bytes(draws.rest())
        settings = []
    else:
        FILE.write_text(BASE)
        settings = [_setting(draws) for _ in range(1 + draws.below(6))]
    experiment = build(load(FILE, settings))
    run = {k: v for k, v in experiment.run.items() if k not in ("n_steps", "until")}
    length = {"until": 1e-3} if experiment.is_flow else {"n_steps": 2}
    trajectory = type(experiment).execute(
        experiment, progress=False, **{k: None for k in experiment.run if k not in run}, **length
    )
    assert trajectory.step >= 0


def _setting(draws: Draws) -> str:
    section = draws.one_of(SECTIONS)
    if draws.is_odd(2) and section in KINDS:
        return f'{section}.kind="{draws.one_of(KINDS[section])}"'
    return f"{section}.{draws.one_of(KEYS)}={_value(draws, 2)}"


def _value(draws: Draws, nested: int) -> str:
    kind = draws.below(6)
    if kind == 0:
        return repr(draws.one_of(ODD_NUMBERS[:8] + ODD_NUMBERS[14:]))
    if kind == 1:
        return f'"{draws.one_of(WORDS)}"'
    if kind == 2 and nested:
        return f"[{', '.join(_value(draws, nested - 1) for _ in range(draws.below(4)))}]"
    if kind == 3 and nested:
        return f"{{ {draws.one_of(KEYS)} = {_value(draws, nested - 1)} }}"
    if kind == 4:
        return draws.one_of(("true", "false", "1979-05-27", "07:32:00", "x", "="))
    return str(_small(draws))


def _small(draws: Draws) -> Any:
    return draws.one_of((draws.below(9), draws.below(9) / 7))
