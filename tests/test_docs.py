"""The pages of the documentation: their code runs, and prints what they say."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "_build" not in page.parts and "```python\n" in page.read_text(encoding="utf-8")
)
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, printed = {}, ""
    for language, block in BLOCKS.findall((DOCS / page).read_text(encoding="utf-8")):
        if language == "text":
            assert printed.split() == block.split()
            printed = ""
            continue
        assert not printed, f"{page} does not show what is printed: {printed}"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, page, "exec"), names)
        printed = out.getvalue()
    assert not printed, f"{page} does not show what is printed: {printed}"


def test_the_experiment_file_of_the_start_runs(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "start.md").read_text(), re.DOTALL)
    (tmp_path / "experiment.toml").write_text(text)
    command = [sys.executable, "-m", "pydlnet"]
    for arguments in (
        ["run", "experiment.toml"],
        ["run", "experiment.toml", "--set", "start.depth=4", "--overwrite"],
        ["show", "experiment.nc"],
    ):
        result = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
        )
    assert "converged" in result.stdout
    assert (tmp_path / "experiment.png").exists()
