"""The loaders of MovieLens, on archives in GroupLens's layout with made-up ratings."""

import hashlib
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from local_server import LocalServer

from pydlnet import datasets
from pydlnet.datasets import movielens

PAIRS = [(3 * u + 1, 5 * i + 2) for u in range(12) for i in range(8) if (u + i) % 4]


def lines(separator, pairs=PAIRS, seed=0):
    stars = np.random.default_rng(seed).integers(1, 6, len(pairs))
    return "".join(
        separator.join(map(str, (*pair, stars[k], 88125094 + k))) + "\n"
        for k, pair in enumerate(pairs)
    )


RELEASES = {
    "100k": (datasets.movielens_100k, "_SMALL", "ml-100k/u.data", lines("\t")),
    "1m": (datasets.movielens_1m, "_LARGE", "ml-1m/ratings.dat", lines("::")),
}


@pytest.fixture(params=RELEASES)
def small(request, monkeypatch):
    """Return loader, name of the file and its text, of a release that is as small as the tests'."""
    load, constant, file, text = RELEASES[request.param]
    release = replace(getattr(movielens, constant), n_ratings=72, shape=(12, 8))
    monkeypatch.setattr(movielens, constant, release)
    return load, file, text


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_given(rated):
    return {
        (rated.user_ids[i], rated.item_ids[j], value)
        for i, j, value in zip(rated.users, rated.items, rated.values, strict=True)
    }


def test_archive_folder_and_file_read_alike(small, tmp_path):
    load, file, text = small
    rest = {"ml/README": "about", "__MACOSX/._u.data": b"\0\5", "ml/u1.base": "1\t2\t3\t4\n"}
    archive = write_zip(tmp_path / "ml.zip", {file: text, **rest})
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    rows = [line.replace("::", "\t").split("\t") for line in text.splitlines()]
    expected = {(int(user), int(item), float(stars)) for user, item, stars, _ in rows}
    for path in (archive, tmp_path / "unpacked", tmp_path / "unpacked" / file):
        rated = load(path)
        assert as_given(rated) == expected
        assert rated.user_ids.tolist() == list(range(1, 37, 3))
        assert as_given(movielens.ratings_at(path)) == expected


def test_a_download_is_compared_with_the_checksum(small, tmp_path, monkeypatch):
    load, file, text = small
    constant = "_SMALL" if file.endswith("u.data") else "_LARGE"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = write_zip(tmp_path / "ml.zip", {file: text}).read_bytes()
    release = getattr(movielens, constant)
    with LocalServer() as server:
        server.files["/ml.zip"] = content
        remote = replace(release.remote, url=f"{server.url}/ml.zip")
        monkeypatch.setattr(movielens, constant, replace(release, remote=remote))
        with pytest.raises(ValueError, match=f"expected {remote.checksum}"):
            load()
        remote = replace(remote, checksum=f"md5:{hashlib.md5(content).hexdigest()}")
        monkeypatch.setattr(movielens, constant, replace(release, remote=remote))
        assert len(load()) == len(load()) == 72
        assert server.sent == ["/ml.zip"] * 2
    assert (tmp_path / "cache" / "pydlnet" / remote.file).read_bytes() == content


def test_addresses_and_checksums_are_those_of_grouplens():
    """As in the files ml-100k.zip.md5 and ml-1m.zip.md5 beside the archives."""
    for release, name, digest in (
        (movielens._SMALL, "ml-100k.zip", "0e33842e24a9c977be4e0107933c0723"),
        (movielens._LARGE, "ml-1m.zip", "c4d9eecfca2ab87c1945afe126590906"),
    ):
        assert release.remote.url == f"https://files.grouplens.org/datasets/movielens/{name}"
        assert release.remote.checksum == f"md5:{digest}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("1", "9", 1), "expected the 72 ratings of 8 films by 12 users"),
        (lambda text: text.rstrip()[:-10], "line 72: expected 4 fields"),
        (lambda text: "".join(text.splitlines(True)[:50]), r"got Ratings\(50 values from 1"),
        (lambda text: text + text.splitlines()[4], "line 73: .* occur again after line 5"),
        (lambda text: text.replace("88125099", "", 1), None),
        (lambda text: "user" + text, "expected the 72 ratings"),
        (lambda text: "\n" + text[::-1], "expected|again"),
        (lambda text: "", "is empty"),
        (lambda text: b"\xff\xfe" + text.encode(), "line 1: expected UTF-8"),
    ],
)
def test_changed_ratings(small, tmp_path, change, message):
    load, file, text = small
    path = tmp_path / file.rpartition("/")[2]
    changed = change(text)
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    if message is None:  # times are not looked at
        assert len(load(path)) == 72
        return
    with pytest.raises(ValueError, match=f"^path: .*{message}"):
        load(path)


@pytest.mark.parametrize("stars", ["0", "6", "3.5", "-1", "1e300"])
def test_stars_out_of_range(small, tmp_path, stars):
    load, file, text = small
    separator = "::" if "::" in text else "\t"
    first, *rest = text.splitlines()
    changed = separator.join([*first.split(separator)[:2], stars, "88"])
    path = write_zip(tmp_path / "ml.zip", {file: "\n".join([*rest, changed])})
    with pytest.raises(
        ValueError, match=f"{file}, line 72: expected 1 to 5 stars, got {stars[:2]}"
    ):
        load(path)


def test_archives_of_something_else(small, tmp_path):
    load, file, text = small
    name = file.rpartition("/")[2]
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*https://grouplens\.org"):
        load(tmp_path / "none.zip")
    with pytest.raises(ValueError, match=f"expected one file {name} of MovieLens.*found none"):
        load(write_zip(tmp_path / "other.zip", {"cats.txt": "meow"}))
    with pytest.raises(ValueError, match="found 2 of them"):
        load(write_zip(tmp_path / "two.zip", {file: text, f"copy/{name}": text}))
    with pytest.raises(ValueError, match="found none"):
        movielens.ratings_at(tmp_path / "other.zip")
    whole = write_zip(tmp_path / "ml.zip", {file: text}).read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "half.zip").write_bytes(whole[:keep])
        with pytest.raises(ValueError, match="not a complete zip archive"):
            load(tmp_path / "half.zip")
    with pytest.raises(TypeError, match="path: expected a str"):
        load(3.5)


def test_wrong_bytes_in_an_archive(small, tmp_path):
    load, file, text = small
    path = write_zip(tmp_path / "ml.zip", {file: text})
    content, expected = path.read_bytes(), as_given(load(path))
    draws, messages = np.random.default_rng(0), []
    for place in draws.integers(len(content), size=150):
        path.write_bytes(content[:place] + bytes([draws.integers(256)]) + content[place + 1 :])
        try:
            rated = load(path)
        except ValueError as error:
            messages.append(str(error))
        else:  # where nobody looks, as in dates
            assert as_given(rated) == expected
    assert len(messages) > 75
    assert all(message.startswith("path: ") for message in messages)


def test_options_of_tables_are_refused_for_archives(small, tmp_path):
    _, file, text = small
    with pytest.raises(ValueError, match="user: for tables only"):
        movielens.ratings_at(write_zip(tmp_path / "ml.zip", {file: text}), user="who")


def test_parts_and_other_tables_are_ratings(tmp_path):
    (tmp_path / "u.data").write_text(lines("\t", PAIRS[:20]))
    assert len(movielens.ratings_at(tmp_path / "u.data")) == 20
    (tmp_path / "mine.csv").write_text("film,who,stars\nx,ann,3\ny,bob,4\n")
    rated = movielens.ratings_at(tmp_path / "mine.csv", user="who", item="film")
    assert rated.user_ids.tolist() == ["ann", "bob"]


def test_one_of_full_size(tmp_path):
    rng = np.random.default_rng(0)
    places = np.sort(np.append(rng.choice(943 * 1682 - 1, 99_999, replace=False), 943 * 1682 - 1))
    users, items = np.divmod(rng.permutation(places), 1682)
    assert len(np.unique(users)) == 943
    assert len(np.unique(items)) == 1682
    stars = rng.integers(1, 6, 100_000)
    table = np.stack([users + 1, items + 1, stars, 88_000_000 + np.arange(100_000)], axis=1)
    np.savetxt(tmp_path / "u.data", table, fmt="%d", delimiter="\t")
    rated = datasets.movielens_100k(tmp_path / "u.data")
    assert repr(rated) == "Ratings(100,000 values from 1 to 5, 943 users, 1,682 items)"
    np.testing.assert_array_equal(rated.users, users)
    np.testing.assert_array_equal(rated.items, items)
    np.testing.assert_array_equal(rated.values, stars)
    problem = rated.completion(held_out=0.1, rng=0)
    assert (problem.n_samples, problem.held_out[2].size) == (90_000, 10_000)
