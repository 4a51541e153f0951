"""What the shell offers at the tab key, besides commands, options and files.

It runs at every press of the key, so nothing of the package is loaded here.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = [
    "BACKENDS",
    "EXPERIMENTS",
    "complete_backend",
    "complete_experiment",
    "complete_setting",
]

BACKENDS = ("threads", "processes", "dask")

EXPERIMENTS = ("acceleration", "convergence", "low-rank")


def complete_experiment(incomplete: str) -> list[str]:
    """Return the experiments of `reproduce` that begin like this."""
    return [name for name in EXPERIMENTS if name.startswith(incomplete)]


def complete_backend(incomplete: str) -> list[str]:
    """Return the backends of `sweep` that begin like this."""
    return [name for name in BACKENDS if name.startswith(incomplete)]


def complete_setting(context: typer.Context, incomplete: str) -> list[str]:
    """Return `key=value` for the keys of the experiment file, if it was named before `--set`."""
    # The command line is not complete: what belongs to no option may not be assigned yet.
    words = [context.params.get("file"), *context.args]
    files = [str(word) for word in words if str(word).endswith(".toml")]
    try:
        tables = tomllib.loads(Path(files[0]).read_text(encoding="utf-8"))
    except (IndexError, OSError, ValueError):
        return []
    return [setting for setting in _settings(tables) if setting.startswith(incomplete)]


def _settings(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield what needs no quotes in a shell: numbers, true and false, and plain names."""
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from (f"{key}.{setting}" for setting in _settings(value))
        elif isinstance(value, bool):
            yield f"{key}={str(value).lower()}"
        elif isinstance(value, int | float) or (isinstance(value, str) and _is_plain(value)):
            yield f"{key}={value}"


def _is_plain(text: str) -> bool:
    return bool(text) and all(letter.isalnum() or letter in "._-/" for letter in text)
