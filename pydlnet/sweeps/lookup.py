"""The union of the coordinates of many points, and the places of one point's in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Folder
from .sealed import Damaged

__all__ = ["places_in", "union_of_indexes"]


def union_of_indexes(
    folder: Folder, name: str, records: Mapping[int, dict[str, Any]]
) -> NDArray[Any] | None:
    """Return the union of a coordinate over points.

    It is the longest one, if that has all the others; else numbers ascending, strings as they come.

    Long coordinates are read once for each beginning that there is; see `results`.

    Returns
    -------
    ndarray or None
        None if a coordinate names a place twice. Points whose coordinate cannot be read are left
        out: nor can the rest of them.
    """
    parts: list[NDArray[Any]] = []
    beginnings: dict[str, NDArray[Any] | None] = {}
    seen: set[str] = set()
    for record in records.values():
        description = record["variables"][name]
        index, dtype = description["index"], np.dtype(description["dtype"])
        if "values" in index:
            if (shown := repr(index["values"])) not in seen:
                seen.add(shown)
                parts.append(np.array(index["values"], dtype))
            continue
        if beginnings.get(index["head"]) is None:
            beginnings[index["head"]] = _read(folder, record, name)
        if "last" in index:
            parts.append(np.array([index["last"]], dtype))
    parts.extend(whole for whole in beginnings.values() if whole is not None)
    return _union(parts) if parts else None


def _read(folder: Folder, record: dict[str, Any], name: str) -> NDArray[Any] | None:
    try:
        return folder.read_arrays(record["key"], record, [name])[name]
    except (Damaged, KeyError):
        return None


def _union(parts: list[NDArray[Any]]) -> NDArray[Any] | None:
    if any(np.unique(part).size < part.size for part in parts):
        return None
    kinds = {part.dtype.kind for part in parts}
    if "U" in kinds or not (len(kinds) == 1 or kinds <= set("iuf")):  # True is not the number 1
        every = dict.fromkeys(text for part in parts for text in _texts(part))
        return np.array(list(every), dtype=object)
    longest = max(parts, key=len)  # such as names, which are in the order of what they name
    is_whole = all(part is longest or bool(np.isin(part, longest).all()) for part in parts)
    return longest if is_whole else np.unique(np.concatenate(parts))


def _texts(part: NDArray[Any]) -> list[str]:
    """Return the entries of a coordinate as text, times not as the integers that they are."""
    items = np.datetime_as_string(part) if part.dtype.kind == "M" else part
    return [str(item) for item in items.tolist()]


def places_in(union: NDArray[Any], own: NDArray[Any]) -> NDArray[np.int64]:
    """Return where the entries of one coordinate are in the union."""
    if union.dtype == object:
        place = {item: i for i, item in enumerate(union.tolist())}
        return np.array([place[text] for text in _texts(own)], dtype=np.int64)
    order = np.argsort(union, kind="stable")
    places = order[np.minimum(np.searchsorted(union, own, sorter=order), union.size - 1)]
    same = union[places] == own
    if not np.all(same | (own != own)):  # the latter are NaN
        raise KeyError("a coordinate that is not in the union")
    return places
