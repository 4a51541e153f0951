"""Downloads to the cache: what is kept, what is refused, and what is said without a network."""

import hashlib
import re
import socket
import threading

import pytest
from local_server import LocalServer

from pydlnet.datasets import downloads
from pydlnet.datasets.downloads import Remote, fetch

CONTENT = bytes(range(256)) * 5000


LEFT = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""requests and pooch leave a connection that broke off to the garbage collector."""


@pytest.fixture
def server():
    with LocalServer() as running:
        running.files["/data.zip"] = CONTENT
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pydlnet"


def remote(server, path="/data.zip", content=CONTENT, checksum=True):
    digest = f"md5:{hashlib.md5(content).hexdigest()}" if checksum else None
    return Remote("kept.zip", server.url + path, "https://example.org/page", digest)


def test_a_file_is_downloaded_once(server, cache, capfd):
    for _ in range(2):
        assert fetch(remote(server)) == cache / "kept.zip"
    assert (cache / "kept.zip").read_bytes() == CONTENT
    assert server.sent == ["/data.zip"]
    assert capfd.readouterr() == ("", "")


def test_a_file_that_the_user_put_there_needs_no_network(cache):
    cache.mkdir()
    (cache / "kept.zip").write_bytes(CONTENT)
    away = Remote("kept.zip", "http://127.0.0.1:9/x", "", f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    assert fetch(away).read_bytes() == CONTENT
    assert fetch(Remote("kept.zip", "http://127.0.0.1:9/x", "")).read_bytes() == CONTENT


def test_a_wrong_file_in_the_cache_is_replaced(server, cache):
    cache.mkdir()
    (cache / "kept.zip").write_bytes(b"half of it")
    assert fetch(remote(server)).read_bytes() == CONTENT


def test_what_has_another_checksum_is_not_kept(server, cache):
    with pytest.raises(ValueError, match=r"not the published file.*MD5.*kept\.zip, or give its"):
        fetch(remote(server, content=b"something else"))
    assert list(cache.iterdir()) == []


def test_what_fails_the_check_is_not_kept(server, cache):
    seen = []

    def check(path):
        seen.append(path.read_bytes())
        raise ValueError("only nine batches")

    with pytest.raises(ValueError, match="only nine batches"):
        fetch(remote(server, checksum=False), check)
    assert seen == [CONTENT]
    assert list(cache.iterdir()) == []


@LEFT
@pytest.mark.parametrize(
    ("path", "message"), [("/none.zip", "404 Client Error"), ("/short.zip", "IncompleteRead|more")]
)
def test_a_failing_server(server, cache, path, message):
    server.files["/short.zip"] = CONTENT
    server.short.add("/short.zip")
    with pytest.raises(ConnectionError, match=message) as caught:
        fetch(remote(server, path, checksum=False))
    text = str(caught.value)
    assert text.startswith(f"{server.url}{path}: no download")
    assert "https://example.org/page" in text
    assert f"put it at {cache / 'kept.zip'}, or give its path" in text
    assert list(cache.iterdir()) == []


@LEFT
def test_a_server_that_never_answers(server, monkeypatch):
    monkeypatch.setattr(downloads, "_CONNECT", 0.2)
    server.silent.add("/data.zip")
    with pytest.raises(ConnectionError, match=r"no download \(.*[Tt]imed out"):
        fetch(remote(server))


def test_nobody_listens(cache):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    away = Remote("kept.zip", f"http://127.0.0.1:{port}/x.zip", "https://example.org/page")
    message = rf"http://127\.0\.0\.1:{port}/x\.zip: no download \(.*refused.*put it at "
    with pytest.raises(ConnectionError, match=message + re.escape(str(cache / "kept.zip"))):
        fetch(away)


def test_a_name_that_never_resolves_is_given_up(monkeypatch):
    end = threading.Event()

    def hang(*_arguments, **_keywords):
        end.wait(60)
        raise socket.gaierror("nothing found")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(downloads, "_PATIENCE", 0.1)
    with pytest.raises(ConnectionError, match=r"no answer within 0\.1 s"):
        fetch(Remote("kept.zip", "http://files.example.org/x.zip", ""))
    end.set()


def test_a_wrong_file_is_named_when_there_is_no_network(cache):
    cache.mkdir()
    (cache / "kept.zip").write_bytes(b"half of it")
    with pytest.raises(ConnectionError, match="what is there now is not that file"):
        fetch(Remote("kept.zip", "http://127.0.0.1:9/x", "", "md5:" + 32 * "0"))
    assert (cache / "kept.zip").read_bytes() == b"half of it"


def test_a_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot keep the file") as caught:
        fetch(remote(server))
    assert not isinstance(caught.value, ConnectionError)
