"""The code of docs/sweeps.md runs."""

import re
from pathlib import Path

import pydlnet as dln

DOCS = Path(__file__).parents[2] / "docs" / "sweeps.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["result"].counts == {"done": 15, "failed": 0, "missing": 0}
    assert names["rates"].data["loss"].dims == ("starts", "methods", "step")
    assert len(dln.open_sweep("depths")) == 15
