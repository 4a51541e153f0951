"""What a release is described by: version, changes, citation, typing."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import yaml

import pydlnet as dln

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    assert CITATION["version"] == PROJECT["version"] == dln.__version__


def test_the_citation_names_what_the_readme_does():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == PROJECT["authors"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    papers = re.findall(r"\[(arXiv:[\d.]+)\]", readme)
    found = [paper["identifiers"][0]["value"] for paper in CITATION["references"]]
    assert found == papers
    for paper in CITATION["references"]:
        assert paper["title"] in " ".join(readme.split())
        for author in paper["authors"]:
            assert f"{author['given-names'][0]}. {author['family-names']}" in readme


def test_the_changelog_keeps_its_form():
    versions = re.findall(r"^## (.*)$", CHANGES, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert all(re.fullmatch(r"\[?\d+\.\d+\.\d+\]? - \d{4}-\d\d-\d\d", v) for v in versions[1:])
    kinds = set(re.findall(r"^### (.*)$", CHANGES, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_type_checkers_are_told_of_the_types():
    assert (files("pydlnet") / "py.typed").is_file()
    assert (files("pydlnet") / "__init__.pyi").is_file()
    assert (files("pydlnet._core") / "__init__.pyi").is_file()
