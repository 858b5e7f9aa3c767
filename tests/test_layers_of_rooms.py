"""The house: imports go one way, modules stay small, and `import xfaconv` stays cheap."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "xfaconv"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The small modules beside the rooms, which every room may import.
LEAVES = {
    "arguments",
    "bootstrap",
    "climatology",
    "deprecation",
    "download",
    "eofs",
    "errors",
    "formatting",
    "grid",
    "names",
    "options",
    "specs",
}
FACE = {"__init__", "accessor", "demo", "explore", "report", "versions"}
# What each room may import of the package, the leaves apart.
ROOMS = {
    "analysis": {"adapt", "engine", "models", "nn"},
    "adapt": set(),
    "engine": {"adapt", "models", "nn"},
    "inference": {"adapt", "analysis", "engine", "models", "nn"},
    "models": {"nn"},
    "names": set(),
    "nn": set(),
    "plot": set(),
    "training": {"adapt", "engine", "models", "nn"},
    "tutorial": set(),
}
FORBIDDEN = {
    "analysis": {"matplotlib", "cartopy"},
    "adapt": {"torch", "matplotlib", "cartopy", "sklearn"},
    "engine": {"matplotlib", "cartopy", "sklearn"},
    "inference": {"matplotlib", "cartopy"},
    "models": {"xarray", "dask", "matplotlib", "cartopy", "pickle"},
    "names": {"torch", "dask", "matplotlib", "cartopy", "sklearn", "scipy"},
    "nn": {"xarray", "dask", "matplotlib", "cartopy", "sklearn"},
    "plot": {"torch", "sklearn", "scipy"},
    "training": {"matplotlib", "cartopy"},
    "tutorial": {"torch", "matplotlib", "cartopy"},
    "": {"torch", "xarray", "dask", "matplotlib", "cartopy", "sklearn", "scipy"},
}
# A leaf that may import what the others may not, inside a function: the climatology is fitted to dask arrays too.
INSIDE_FUNCTIONS = {"climatology": {"dask"}}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imported(path: Path, *, for_types: bool = False) -> Iterator[str]:
    """Dotted names of everything that a module imports when it runs, inside its functions too; and for its types."""
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        todo += ast.iter_child_nodes(node)


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if not room and path.stem in FACE:
        return
    allowed = LEAVES | ROOMS.get(room, set()) | {room} if room else LEAVES
    others = {name.split(".")[1] for name in imported(path) if name.startswith("xfaconv.")}
    # `from xfaconv import __version__` names the package itself.
    assert others - {"__version__"} <= allowed
    if not room:
        types = {name.split(".")[1] for name in imported(path, for_types=True) if name.startswith("xfaconv.")}
        assert types <= LEAVES, "a leaf knows no folder but that of the names, not even for its types"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_do_not_import_what_is_not_theirs(path: Path) -> None:
    if not room_of(path) and path.stem in FACE:
        return
    packages = {name.split(".")[0] for name in imported(path)}
    room = room_of(path)
    assert not packages & (FORBIDDEN[room] - (set() if room else INSIDE_FUNCTIONS.get(path.stem, set())))


def test_every_room_and_module_is_known_here() -> None:
    assert {room_of(path) for path in MODULES} - {""} <= set(ROOMS)
    assert {path.stem for path in MODULES if not room_of(path)} <= LEAVES | FACE


def test_nothing_in_the_package_unpickles() -> None:
    for path in MODULES:
        packages = {name.split(".")[0] for name in imported(path)}
        assert not packages & {"pickle", "cloudpickle", "shelve", "marshal", "joblib"}, path
        assert "torch.load(" not in path.read_text(), path


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short_and_say_what_they_are(path: Path) -> None:
    text, tree = path.read_text(), ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module opens with one sentence that says its subject"
    documented = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module))
    strings = [node.body[0] for node in documented if ast.get_docstring(node)]
    told = {line for node in strings for line in range(node.lineno, node.end_lineno + 1)}
    code = [line for number, line in enumerate(text.splitlines(), 1) if line.strip() and number not in told]
    assert len(code) <= 400


def test_no_import_cycle() -> None:
    names = {".".join(("xfaconv", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}

    def targets(path: Path) -> set[str]:
        """Modules that are imported when this one is, its functions apart."""
        tree = ast.parse(path.read_text())
        found: set[str] = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module in names:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (whole & names.keys()) or {node.module}
        return found

    graph = {name: targets(path) - {name} for name, path in names.items()}
    while graph:
        free = {name for name, others in graph.items() if not others & graph.keys()}
        assert free, f"a cycle among {sorted(graph)}"
        graph = {name: others for name, others in graph.items() if name not in free}


def run(code: str) -> object:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = run("import json, sys, xfaconv; print(json.dumps(sorted(sys.modules)))")
    heavy = {
        "torch",
        "matplotlib",
        "cartopy",
        "sklearn",
        "scipy",
        "pint",
        "cf_xarray",
        "pooch",
        "safetensors",
        "netCDF4",
    }
    assert not heavy & set(loaded)
    assert "xfaconv.accessor" in loaded


def test_importing_the_package_costs_little_beside_xarray() -> None:
    code = (
        "import json, time; start = time.perf_counter(); import xarray; middle = time.perf_counter(); import xfaconv; "
        "end = time.perf_counter(); print(json.dumps([middle - start, end - middle]))"
    )
    runs = [run(code) for _ in range(3)]
    # A ratio on one machine, the best of three: 0.02 when this was written.
    assert min(ours / theirs for theirs, ours in runs) < 0.15


def test_rooms_that_are_not_about_torch_do_not_load_it() -> None:
    # One process for all of them: the first name in the answer is to blame.
    code = """
import importlib, json, sys, xfaconv
loaded = []
def note(what):
    if 'torch' in sys.modules:
        loaded.append(what)
xfaconv.list_models(); note('list_models'); xfaconv.get_options(); note('get_options')
for room in ('adapt', 'plot', 'tutorial', 'models'):
    importlib.import_module(f'xfaconv.{room}'); note(room)
print(json.dumps(loaded))
"""
    assert run(code) == []


def test_a_packaged_network_is_built_without_torchs_compiler() -> None:
    """A quotient or a draw on the meta device would import it: a second in every process."""
    code = (
        "import json, sys, xfaconv; [xfaconv.load_model(name).network() for name in xfaconv.list_models()]; "
        "print(json.dumps([name for name in ('torch._dynamo', 'sympy') if name in sys.modules]))"
    )
    assert run(code) == []


def test_importing_the_package_leaves_the_process_as_it_was() -> None:
    code = """
import json, logging, warnings
import numpy, xarray, dask
def state():
    return [repr(warnings.filters), repr(logging.root.handlers), repr(dict(xarray.get_options())),
            repr(dask.config.config), repr(numpy.random.get_state()[1][:5]), repr(numpy.geterr())]
before = state()
import xfaconv
print(json.dumps(before == state()))
"""
    assert run(code) is True
