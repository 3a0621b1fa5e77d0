"""Rules of the package layout: imports, lengths of files, and what is never committed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FER = ROOT / "fer"
FILES = sorted(FER.rglob("*.py"))
# A package imports only packages to its left.
ORDER = (
    "core", "data", "models", "analysis", "bundle", "faces", "predict", "calibrate", "web", "app", "training",
    "evaluation", "benchmark", "export", "sweep",
)  # fmt: skip
SERVING = ("core", "bundle", "faces", "predict", "calibrate", "web", "benchmark", "app")
LIGHT = ("fer.data.readers.fer2013", "fer.data.synthetic", "fer.analysis.plots.training")
HYDRA = (
    "fer.training.hydra_app", "fer.training.overrides", "fer.training.api", "fer.training.resolvers",
    "fer.training.multirun", "fer.training.grid", "fer.training.plugin_sources",
    "fer.training.own_parts", "fer.training.rerun", "fer.sweep",
)  # fmt: skip
SLOW_IMPORTS = {"wandb", "albumentations", "tensorboard"}
# Files under 60 lines with fewer than two importers.
SHORT = {
    "fer.training.cli": "entry point of fer-train; it must import without Hydra",
    "fer.data.register": "public functions of `fer`; models and training have such a file too",
}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


def imports(path, top_only=False):
    """Return the dotted names that a file imports, anywhere or at the top level only."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path):
    """Return the modules of this package that a file imports."""
    names = [name for name in imports(path) if name.startswith("fer.")]
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def package(module):
    return module.split(".")[1]


def lines(path):
    return len(path.read_text().splitlines())


def test_only_init_is_loose():
    assert [path.name for path in FER.glob("*.py")] == ["__init__.py"]
    assert {path.parent.name for path in FER.glob("*/__init__.py")} == set(ORDER)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"fer"}))
def test_imports_point_downwards(module):
    allowed = ORDER[: ORDER.index(package(module)) + 1]
    assert {package(name) for name in imported_modules(MODULES[module])} <= set(allowed)


def test_packages_have_no_import_cycle():
    uses = {name: set() for name in ORDER}
    for module, path in MODULES.items():
        if module != "fer":
            uses[package(module)] |= {package(name) for name in imported_modules(path)} - {package(module)}
    while leaves := [name for name, used in uses.items() if not used & uses.keys()]:
        for name in leaves:
            del uses[name]
    assert not uses


def test_imported_names_exist():
    for path in FILES:
        for name in imported_modules(path):
            assert name in MODULES, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("name", [*SERVING, *LIGHT])
def test_serving_imports_no_torch(name):
    inside = [module for module in MODULES if module.startswith(f"fer.{name}") and module != "fer.app.main"]
    code = f"""
import importlib, sys
for module in {inside or [name]!r}:
    importlib.import_module(module)
print(sorted({{"torch", "pytorch_lightning", "hydra", "wandb"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_only_the_command_line_and_sweeps_import_hydra():
    for module, path in MODULES.items():
        if {name.split(".")[0] for name in imports(path)} & {"hydra", "omegaconf"}:
            assert module.startswith(HYDRA)


def test_slow_libraries_are_imported_where_they_are_used():
    for path in FILES:
        assert not SLOW_IMPORTS & {name.split(".")[0] for name in imports(path, top_only=True)}, path


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_have_at_most_350_lines(module):
    assert lines(MODULES[module]) <= 350


def test_short_files_are_shared():
    users = dict.fromkeys(MODULES, 0)
    for path in FILES:
        for name in imported_modules(path):
            users[name] += 1
    short = {module for module, path in MODULES.items() if path.name != "__init__.py" and lines(path) < 60}
    assert {module for module in short if users[module] < 2} == set(SHORT)


def test_tests_have_the_tree_of_the_package():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in folders - {Path("docs")} if not (FER / folder).is_dir()] == []


def test_no_two_tests_have_one_name():
    """pytest imports them by their file names."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in names if names.count(name) > 1] == []


def test_no_registry_host_or_local_path_is_committed():
    words = ["pythonhos" + "ted", "pypi" + ".org", "/wo" + "rk/", "/ho" + "me/"]
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = {name: (ROOT / name).read_text(errors="ignore") for name in listed if (ROOT / name).is_file()}
    assert not [(name, word) for name, text in texts.items() for word in words if word in text]
