"""What the shell offers at the tab key."""

import subprocess
import sys
from pathlib import Path

import pytest

from pydlnet import reproduce
from pydlnet.cli import main
from pydlnet.cli.completion import EXPERIMENTS

EXAMPLE = Path(__file__).parents[2] / "examples" / "depth_sweep.toml"


@pytest.fixture
def offered(monkeypatch, capsys):
    """Return a function that gives what bash would offer for the last word of a line."""

    def complete(line):
        words = line.split(" ")
        monkeypatch.setenv("_PYDLNET_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        assert main([]) == 0
        return capsys.readouterr().out.split()

    return complete


def test_commands_and_options_are_offered(offered):
    assert offered("pydlnet re") == ["reproduce", "report"]
    assert {"run", "sweep", "show", "info"} <= set(offered("pydlnet "))
    assert offered("pydlnet sweep --back") == ["--backend"]


def test_experiments_are_those_that_there_are(offered):
    assert list(EXPERIMENTS) == list(reproduce.EXPERIMENTS)
    assert offered("pydlnet reproduce ") == list(EXPERIMENTS)
    assert offered("pydlnet reproduce con") == ["convergence"]


def test_backends_are_offered(offered):
    assert offered("pydlnet sweep grid.toml --backend ") == ["threads", "processes", "dask"]
    assert offered("pydlnet sweep grid.toml --backend d") == ["dask"]


def test_the_keys_of_the_file_are_offered_with_their_values(offered):
    found = offered(f"pydlnet sweep {EXAMPLE} --set ")
    assert {"run.n_steps=5000", "method.kind=GradientDescent", "start.scale=0.1"} <= set(found)
    assert offered(f"pydlnet sweep {EXAMPLE} --resume --set run.") == ["run.n_steps=5000"]


def test_what_a_shell_would_take_apart_is_not_offered(offered, tmp_path):
    file = tmp_path / "try.toml"
    file.write_text('data = "$HOME/a b.npz"\nsafe = "a-b/c.npz"\n[start]\nwidths = [2, 2]\n')
    assert offered(f"pydlnet run {file} --set ") == ["safe=a-b/c.npz"]


@pytest.mark.parametrize("text", ["", "not = = toml", "\x00"])
def test_a_file_that_cannot_be_read_offers_nothing(offered, tmp_path, text):
    (tmp_path / "try.toml").write_text(text)
    assert offered(f"pydlnet run {tmp_path}/try.toml --set ") == []
    assert offered(f"pydlnet run {tmp_path}/none.toml --set ") == []
    assert offered("pydlnet run --set ") == []


def test_paths_are_left_to_the_shell(offered):
    # bash, told "-o default", completes names of files where nothing else is offered.
    assert offered("pydlnet run exa") == []
    assert offered("pydlnet show ") == []


def test_bash_itself_completes(tmp_path):
    program = tmp_path / "pydlnet"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pydlnet.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(_PYDLNET_COMPLETE=source_bash pydlnet)"
        complete -p pydlnet
        COMP_WORDS=(pydlnet reproduce low) COMP_CWORD=2
        _pydlnet_completion pydlnet
        echo "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "-o default" in result.stdout
    assert result.stdout.splitlines()[-1] == "low-rank", result.stderr


def test_a_key_press_loads_no_library(isolated):
    code = """
import os, sys
os.environ.update(
    _PYDLNET_COMPLETE="complete_bash", COMP_WORDS="pydlnet reproduce ", COMP_CWORD="2"
)
from pydlnet.cli import main
main([])
print(*{"numpy", "xarray", "matplotlib"} & sys.modules.keys())
"""
    assert isolated(code).stdout == "acceleration\nconvergence\nlow-rank\n\n"
