"""Experiment files: TOML, changed by ``--set key=value``, with paths and names checked.

What the keys of a section mean is not known here: `build` takes that from the signatures of the
public functions.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydlnet._validation import hint

__all__ = ["PUBLISHED", "SECTIONS", "Config", "check_keys", "load", "nearest"]

PUBLISHED = ("gas_sensor", "movielens_100k", "movielens_1m")
"""Data of publishers that `data` may name in place of a path: functions of `datasets`."""


SECTIONS = ("problem", "start", "method", "record", "stop", "run", "output")
_REQUIRED = ("problem", "start", "method", "run")


@dataclass(frozen=True)
class Config:
    """An experiment file after ``--set``, with the paths in `data` made absolute.

    Parameters
    ----------
    name : str
        Name of the file without its ending.
    data : str, dict of str to str, or None
        A path, one of `PUBLISHED`, or paths by name.
    gas : str, int or None
        Which gas to read from the gas sensor archive.
    sections : dict of str to dict
        Every one of `SECTIONS` and of what else was asked for, empty if the file does not have it.
    """

    name: str
    data: str | dict[str, str] | None
    gas: str | int | None
    sections: dict[str, dict[str, Any]] = field(repr=False)


def load(path: Path, settings: Sequence[str] = (), also: Sequence[str] = ()) -> Config:
    """Read an experiment file and apply ``key=value`` settings to it.

    Parameters
    ----------
    path : Path
        TOML file. Relative paths in its `data` are relative to its folder; paths that come from
        a setting or from an environment variable are relative to the current directory. A file
        with a name among `PUBLISHED` is written with its folder, as "./movielens_1m".
    settings : sequence of str
        ``section.key=value``, the value in TOML or, if it is not valid TOML, a string.
    also : sequence of str
        Further sections that the file may have.

    Returns
    -------
    Config
        Checked for unknown and missing sections.

    Raises
    ------
    ValueError, TypeError
        Naming file, section or setting.
    """
    tables = _parse(path)
    if tables.get("data", PUBLISHED[0]) not in PUBLISHED:
        tables["data"] = _map_paths(lambda text: _beside(path, text), tables["data"])
    for setting in settings:
        _apply(tables, setting)
    known = (*SECTIONS, *also)
    if "grid" in tables and "grid" not in also:
        raise ValueError(f"{path.name}: has a section [grid]: it is a file for pydlnet sweep")
    check_keys(tables, ("data", "gas", *known), where=path.name, kind="section or key")
    sections = {name: _section(tables, name) for name in known}
    missing = [name for name in _REQUIRED if not sections[name]]
    if missing:
        raise ValueError(f"{path.name}: the section [{missing[0]}] is missing")
    data = tables.get("data")
    if data is not None and data not in PUBLISHED:
        data = _map_paths(_absolute, data)
    return Config(path.stem, data, tables.get("gas"), sections)


def check_keys(
    given: Iterable[str], known: Sequence[str], *, where: str, kind: str = "key"
) -> None:
    """Raise ValueError for the first unknown key, with the nearest known one."""
    for key in given:
        if key not in known:
            raise ValueError(f"{where}: unknown {kind} {key!r}{nearest(key, known)}")


def nearest(name: object, known: Sequence[str]) -> str:
    """Say which known name is meant, or list them all if none is near."""
    return hint(name, known) or f"; known are {', '.join(known)}"


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"no file {str(path)!r}{_similar_file(path)}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None


def _similar_file(path: Path) -> str:
    """Say which file beside it is meant."""
    try:
        return hint(path.name, [file.name for file in path.parent.iterdir() if file.is_file()])
    except OSError:
        return ""


def _section(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = tables.get(name, {})
    if not isinstance(section, dict):
        raise TypeError(f"{name}: expected a section [{name}], got {section!r}")
    return section


def _apply(tables: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ValueError(f"--set {setting}: expected key=value, for instance method.kind=Adam")
    table = tables
    for name in names[:-1]:
        # `data` may be one path in the file and a table of paths in the settings.
        if name not in table or (name == "data" and isinstance(table[name], str)):
            table[name] = {}
        table = table[name]
        if not isinstance(table, dict):
            raise ValueError(f"--set {setting}: {name!r} is not a section")
    table[names[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def _map_paths(function: Any, data: Any) -> Any:
    if isinstance(data, str):
        return function(data)
    if isinstance(data, dict) and data and all(isinstance(path, str) for path in data.values()):
        return {name: function(path) for name, path in data.items()}
    raise TypeError(f"data: expected a path or a table of paths, got {data!r}")


def _beside(file: Path, text: str) -> str:
    """Return a path of the experiment file relative to the file; one with a variable as it is."""
    return text if text.startswith(("$", "~")) else str(file.absolute().parent / text)


def _absolute(text: str) -> str:
    return str(Path(_expand(text)).expanduser().absolute())


def _expand(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if not os.environ.get(name):
            raise ValueError(
                f"data: the environment variable {name} is not set; "
                "set it to a path, or give the path with --set data=PATH"
            )
        return os.environ[name]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)
