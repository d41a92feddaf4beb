"""The registry: every default can be read, and the code reads what is declared honoured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import angarium
from angarium.config import Config
from angarium.config.parameter import Parameter, Status, Type
from angarium.config.per_service import by_suffix
from angarium.config.registry import registry
from angarium.config.registry.lmtp import twin
from angarium.config.table_files import TABLE_PARAMETERS

SOURCES = Path(angarium.__file__).parent

READ = re.compile(
    r"""\.(?:text|integer|boolean|seconds|size|names|choice|raw)\(\s*f?["']([a-z0-9_{}.]+)["']""", re.IGNORECASE
)


@pytest.mark.parametrize("level", ["0", "3.9"])
def test_every_default_can_be_read(level):
    conf = Config.of({"compatibility_level": level})
    for name in registry():
        conf.check(name)


def test_what_changes_nothing_says_why():
    silent = [p.name for p in registry().values() if p.status is Status.NO_EFFECT and not p.reason]
    assert silent == []


def test_what_is_honoured_says_what_it_is_for():
    silent = [
        p.name for p in registry().values() if p.status is Status.HONOURED and not p.help and p.type is not Type.LEGACY
    ]
    assert silent == []


def test_enumerations_contain_their_default():
    for parameter in registry().values():
        if parameter.type is Type.ENUM and "$" not in parameter.default:
            assert parameter.default in parameter.choices, parameter.name


ASIDE = ("config", "demo", "commands/check")
"""Where names of parameters stand that nothing does because of them: declarations, checks, a site to try."""


def names_in_code() -> set[str]:
    """Names of parameters that stand as strings in the code, outside of what only talks about them."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        if not any(path.is_relative_to(SOURCES / aside) for aside in ASIDE) or path.name in ("config.py", "derived.py"):
            found.update(re.findall(r"""["']([a-z0-9_]+[a-zA-Z0-9_]*)["']""", path.read_text(encoding="utf-8")))
    found |= {twin(name) for name in found}  # the code reads a service's parameters by smtp's names
    return found & set(registry())


def test_what_the_code_reads_is_declared_honoured():
    """The other direction, that what is declared honoured is read, is tested on a whole server in tests/system."""
    wrong = {
        name: f"src/angarium/config/registry: {name} is read by code; drop its Status and reason, give it a help text"
        for name in names_in_code()
        if registry()[name].status is not Status.HONOURED and registry()[name].type is not Type.LEGACY
    }
    assert wrong == {}


def test_what_is_not_supported_says_why():
    silent = [p.name for p in registry().values() if p.status is Status.UNSUPPORTED and not p.reason]
    assert silent == []


def test_every_parameter_that_code_reads_is_declared():
    missing = {
        name
        for path in SOURCES.rglob("*.py")
        if "registry" not in path.parts
        for name in READ.findall(path.read_text(encoding="utf-8"))
        if "_" in name and "{" not in name and name not in registry() and by_suffix(name) is None
    } - set().union(*TABLE_PARAMETERS.values())
    assert missing <= {"relay_or_other"}


def test_a_parameter_is_a_value():
    assert Parameter("a", Type.STRING, "") == Parameter("a", Type.STRING, "")
