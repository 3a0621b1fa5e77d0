"""A fixture for tests that import plugins: afterwards the package knows only its own parts again."""

import sys

import pytest
from hydra.core.config_store import ConfigStore

from fer.core import plugins
from fer.core.registry import REGISTRIES

# Registers the parts of the package.
from fer.training.config import RunConfig as RunConfig


@pytest.fixture
def forget_plugins(tmp_path, monkeypatch):
    """Make ``tmp_path`` the current folder, and undo what plugins register."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_named", [])
    monkeypatch.setattr(plugins, "_failed", {})
    monkeypatch.setattr(plugins, "_installed_is_loaded", False)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    before = set(sys.modules)
    yield
    repo = ConfigStore.instance().repo
    for registry in REGISTRIES:
        for entry in registry.plugins():
            repo.get(registry.group, {}).pop(f"{entry.name}.yaml", None)
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("my_project", "fer_plugin_example"):
            del sys.modules[name]
