"""The files around the package: environments agree with pyproject.toml, and the code runs on every system."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Names that conda-forge has for packages of PyPI.
OF_CONDA = {
    "cf-xarray": "cf_xarray",
    "matplotlib": "matplotlib-base",
    "safetensors": "python-safetensors",
    "torch": "pytorch",
}


def required() -> dict[str, str]:
    """What `xfaconv[torch]` requires, by conda-forge's names."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["torch"]]
    found = {Requirement(line).name: str(Requirement(line).specifier) for line in lines}
    return {OF_CONDA.get(name, name): version for name, version in found.items()}


def conda_file(name: str) -> dict[str, str]:
    """Packages and versions of a file for conda."""
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    lines = content["requirements"]["run"] if "requirements" in content else content["dependencies"]
    return {
        line.split()[0].replace("pytorch-cpu", "pytorch"): "".join(line.split()[1:])
        for line in lines
        if isinstance(line, str)
    }


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml", "recipe/recipe.yaml"])
def test_conda_requires_what_pip_requires(name: str) -> None:
    held = conda_file(name)
    assert {package: held.get(package) for package in required()} == required()


def test_the_recipe_has_the_version_of_the_package() -> None:
    import xfaconv

    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == xfaconv.__version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_that_exist_with_least_rights(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"run: make ([a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    content = yaml.safe_load(text)
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert job["timeout-minutes"] > 0
        assert set(job.get("permissions", {})) <= {"id-token"}


def test_the_pythons_of_the_matrix_are_those_of_the_classifiers() -> None:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    matrix = content["jobs"]["matrix"]["strategy"]["matrix"]
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert matrix["python"] == named
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize("path", sorted((ROOT / "xfaconv").rglob("*.py")), ids=lambda path: path.stem)
def test_no_path_of_one_system_and_no_text_in_the_encoding_of_the_machine(path: Path) -> None:
    """Calls that only POSIX has are refused by ruff (banned-api); this finds what ruff does not."""
    docstrings = set()
    for node in ast.walk(tree := ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert not re.match(r"(/tmp|/proc|/dev|/etc|/usr|/var|/home)(/|$)", node.value), node.value
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
            assert "encoding" in {keyword.arg for keyword in node.keywords}, ast.unparse(node)


PICTURES = [
    (path.relative_to(ROOT).as_posix(), words)
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not {"_build", "tutorials"} & set(path.relative_to(ROOT).parts)
    for words in re.findall(r"!\[([^\]]*)\]\(", path.read_text(encoding="utf-8"))
]


def test_pictures_have_an_alternative_text() -> None:
    assert len(PICTURES) >= 5
    assert [page for page, words in PICTURES if len(words.split()) < 3] == []
