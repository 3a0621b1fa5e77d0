"""Registries of parts: names, duplicates, unknown names, and who registered a part."""

import pytest

from fer.core import plugins
from fer.core.errors import FerError
from fer.core.registry import REGISTRIES, Registry


def build_part():
    """Build nothing."""


def build_other():
    """Build nothing either."""


def test_a_part_of_the_package_is_imported_when_it_is_built():
    registry = Registry("text", "text")
    entry = registry.add("upper", "string:capwords")
    assert entry.module == "string"
    assert entry.build("a b") == "A B"


def test_a_name_in_use_is_an_error_that_names_both_modules():
    registry = Registry("loss", "loss")
    registry.add("focal", "fer.training.losses:Focal")
    with pytest.raises(FerError, match=r"by fer\.training\.losses .*Focal\) and by .*test_part_registry"):
        registry.add("focal", build_part)
    with pytest.raises(FerError, match=r"Choose another name in .*test_part_registry"):
        registry.add("focal", build_part)


def test_a_part_that_is_defined_again_replaces_itself():
    registry = Registry("loss", "loss")
    registry.add("mine", build_part)
    assert registry.add("mine", build_part, mode="max").facts == {"mode": "max"}
    with pytest.raises(FerError, match="registered twice"):
        registry.add("mine", build_other)


def test_an_unknown_name_gets_the_nearest_of_all():
    registry = Registry("loss", "loss")
    registry.add("cross_entropy", "fer.training.losses:CrossEntropy")
    registry.add("poly_one", build_part)
    with pytest.raises(
        FerError,
        match=r"loss: expected one of cross_entropy, poly_one, got 'polyone'. Did you mean 'poly_one'",
    ):
        registry.get("polyone")


@pytest.mark.parametrize("name", ["", "1net", "a b", "a/b", "_x"])
def test_a_name_can_be_written_in_a_config(name):
    with pytest.raises(FerError, match="expected a name of letters"):
        Registry("model", "model").add(name, build_part)


def test_the_plugin_that_is_imported_is_recorded_not_the_module_that_it_imports(monkeypatch):
    monkeypatch.setattr(plugins, "_importing", ["my_project.parts"])
    assert Registry("model", "model").add("net", build_part).module == "my_project.parts"


def test_each_kind_has_a_group_of_its_own():
    assert len({registry.group for registry in REGISTRIES}) == len(REGISTRIES)
