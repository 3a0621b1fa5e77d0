"""Plugins: modules that are imported because the user has named or installed them, and no others."""

import sys
from types import SimpleNamespace

import pytest

from fer.core import plugins
from fer.core.errors import FerError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return the current folder, with nothing imported yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_named", [])
    monkeypatch.setattr(plugins, "_failed", {})
    monkeypatch.setattr(plugins, "_installed_is_loaded", False)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(monkeypatch, *modules):
    """Let modules be installed as entry points."""

    class Point(SimpleNamespace):
        def load(self):
            return __import__(self.module)

    points = [Point(module=module) for module in modules]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "fer.plugins" else [])


def test_a_module_of_the_current_folder_is_imported_once(folder):
    (folder / "my_parts.py").write_text("import builtins\nbuiltins.my_count = 1")
    plugins.import_plugins(["my_parts"])
    (folder / "my_parts.py").write_text("raise RuntimeError")
    plugins.import_plugins("[my_parts]")
    assert plugins.named() == ["my_parts"]
    # An installed package of the same name comes first.
    assert sys.path[-1] == str(folder)


def test_a_missing_module_says_where_it_is_looked_for(folder):
    with pytest.raises(
        FerError, match=r"^plugins: expected a module .* got 'my_project.parts': there is no my_project"
    ):
        plugins.import_plugins(["my_project.parts"])
    (folder / "my_project").mkdir()
    with pytest.raises(FerError, match=r"there is no my_project\.parts\. .*current folder, /"):
        plugins.import_plugins(["my_project.parts"])


def test_a_path_becomes_a_name():
    with pytest.raises(FerError, match=r"--plugins: .* got 'my_project/parts.py'. Write my_project.parts."):
        plugins.import_plugins(["my_project/parts.py"], "--plugins")


def test_a_broken_module_names_the_line(folder):
    (folder / "broken.py").write_text("x = 1\nx.upper()")
    with pytest.raises(FerError, match=r"broken fails on import: AttributeError: .*broken.py, line 2"):
        plugins.import_plugins(["broken"])
    (folder / "needs.py").write_text("import not_installed_library")
    with pytest.raises(
        FerError, match=r"needs fails on import: ModuleNotFoundError: .*not_installed_library"
    ):
        plugins.import_plugins(["needs"])


def test_installed_and_environment_plugins_are_loaded_on_demand(folder, monkeypatch):
    (folder / "of_env.py").touch()
    (folder / "of_package.py").touch()
    monkeypatch.setenv(plugins.VARIABLE, "of_env")
    monkeypatch.syspath_prepend(folder)
    install(monkeypatch, "of_package", "of_broken_package")
    plugins.load_installed()
    assert {"of_env", "of_package"} <= set(sys.modules)
    assert "The installed plugin" in plugins.failures()
    assert "of_broken_package" in plugins.failures()


def test_a_stored_name_is_never_imported(folder, monkeypatch):
    (folder / "stored.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        FerError, match=r"run: model=net needs a plugin .*: stored\. .*--plugins stored.*FER_PLUGINS=stored"
    ):
        plugins.check_loaded(["stored"], "run: model=net")
    assert "stored" not in sys.modules
    (folder / "stored.py").write_text("")
    plugins.import_plugins("stored")
    plugins.check_loaded(["stored"], "run: model=net")
