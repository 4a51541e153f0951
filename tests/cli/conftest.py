"""The command line, called as a user does, in a folder of its own."""

import pytest
from experiment_file import BASIC

from pydlnet.cli import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYDLNET_GAS_SENSOR", raising=False)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def write(tmp_path):
    """Return a function that writes an experiment file, with replacements."""

    def make(text=BASIC, *replacements, name="try.toml"):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


@pytest.fixture
def fails(call, write):
    """Return a function that runs a file that must be refused, and returns the message."""

    def run(*replacements, settings=(), text=BASIC):
        flags = [part for setting in settings for part in ("--set", setting)]
        code, _, err = call("run", write(text, *replacements), "--dry-run", *flags)
        assert code == 2
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return run
