"""Files of data as users have them, with wrong bytes: archives, tables, ratings, pictures."""

import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from pydlnet import datasets
from pydlnet.cli import sources
from pydlnet.datasets.movielens import ratings_at

from .draws import Draws

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def check(data: bytes) -> None:
    """Read a file of a kind, damaged or made up, and look at what comes out."""
    draws = Draws(data)
    draws.one_of((gas_archive, gas_lines, rated, picture, table, array, arrays))(draws)


def damaged(content: bytes, draws: Draws) -> bytes:
    """Return a file with a few wrong bytes, or a part of one, or something else."""
    kind = draws.below(5)
    if kind == 0:
        return draws.rest()
    if kind == 1:
        return content[: draws.below(len(content) + 1)]
    changed = bytearray(content)
    for _ in range(kind - 1):
        changed[draws.below(len(changed))] = draws.byte()
    return bytes(changed)


def put(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


@cache
def batch() -> bytes:
    features = " ".join(f"{k}:{k / 7}" for k in range(1, 129))
    return b"".join(f"{gas};{10.5 * gas} {features}\r\n".encode() for gas in (1, 2, 1))


@cache
def archive(method: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as file:
        file.writestr("Dataset/batch1.dat", batch())
        file.writestr("Dataset/batch2.dat", batch())
    return memory.getvalue()


def gas_archive(draws: Draws) -> None:
    method = draws.one_of((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
                           zipfile.ZIP_LZMA))  # fmt: skip
    check_gas(put("gas.zip", damaged(archive(method), draws)), draws)


def gas_lines(draws: Draws) -> None:
    folder = FOLDER / "folder"
    folder.mkdir(exist_ok=True)
    put("folder/batch1.dat", damaged(batch(), draws))
    check_gas(folder, draws)


def check_gas(path: Path, draws: Draws) -> None:
    gas = draws.value() if draws.is_odd() else draws.one_of(("ethanol", 2))
    inputs, outputs = datasets.gas_sensor(path, gas)
    assert inputs.shape == (len(outputs), 128)
    assert outputs.shape == (len(outputs), 1)
    assert np.isfinite(inputs).all()
    assert np.isfinite(outputs).all()


def rated(draws: Draws) -> None:
    separator = draws.one_of((b"\t", b",", b";", b"::"))
    lines = [b"%d:%d:%d.5:88\n" % (k % 7, k, k % 5) for k in range(20)]
    content = b"user:item:value:time\n" * draws.below(2) + b"".join(lines)
    found = ratings_at(put("u.data", damaged(content.replace(b":", separator), draws)))
    assert len(found.users) == len(found.items) == len(found.values) >= 1
    assert np.isfinite(found.values).all()
    assert found.users.max() + 1 == found.shape[0] == len(set(found.user_ids))
    assert found.items.max() + 1 == found.shape[1] == len(set(found.item_ids))


@cache
def photograph(ending: str) -> bytes:
    memory = io.BytesIO()
    pixels = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    Image.fromarray(pixels).save(memory, ending)
    return memory.getvalue()


def picture(draws: Draws) -> None:
    ending = draws.one_of(("png", "jpeg", "tiff", "gif", "bmp", "webp"))
    problem = datasets.image(put("picture", damaged(photograph(ending), draws)), 0.5, 0)
    assert 0.0 <= problem.ground_truth.min() <= problem.ground_truth.max() <= 1.0


def table(draws: Draws) -> None:
    content = draws.one_of((b"a,b,c\n1,2,3\n4,5,6\n", b"1.5,2\n3,4\n", b'"x",y\n1,a\n2,b\n'))
    look(put("table.csv", damaged(content, draws)), draws)


@cache
def saved(name: str) -> bytes:
    memory = io.BytesIO()
    if name == "one":
        np.save(memory, np.arange(12.0).reshape(3, 4))
    else:
        np.savez(memory, inputs=np.ones((3, 4)), outputs=np.ones((3, 2)))
    return memory.getvalue()


def array(draws: Draws) -> None:
    look(put("array.npy", damaged(saved("one"), draws)), draws)


def arrays(draws: Draws) -> None:
    look(put("arrays.npz", damaged(saved("many"), draws)), draws)


def look(path: Path, draws: Draws) -> None:
    source = sources.read(str(path))
    source.pick(draws.one_of(("*", "a", ["a", "b"], "inputs", 3, [], None)))
    source.default(draws.one_of(("inputs", "a")))
