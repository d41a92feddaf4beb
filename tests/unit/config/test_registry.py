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


COMPOSED = {
    *(name for name in registry() if name.startswith("default_destination_")),
    "initial_destination_concurrency",
    "alias_maps",  # by way of local_recipient_maps
    "smtpd_sasl_local_domain",  # by way of auth_default_domain
    *(
        f"{side}_tls_{kind}{what}"
        for side in ("smtp", "smtpd")
        for kind in ("", "mandatory_")
        for what in ("ciphers", "protocols")
    ),
}
"""Parameters whose names the code makes of parts, or reads in the value of others."""


def names_in_code() -> set[str]:
    """Names of parameters that stand as strings in the code outside of the registry."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        aside = "registry" in path.parts or path.is_relative_to(SOURCES / "demo")
        if not aside and path.name not in ("usage.py", "per_service.py", "parameter.py"):
            found.update(re.findall(r"""["']([a-z0-9_]+[a-zA-Z0-9_]*)["']""", path.read_text(encoding="utf-8")))
    return found & set(registry())


def test_what_the_code_reads_is_declared_honoured():
    honoured = {p.name for p in registry().values() if p.status is Status.HONOURED and p.type is not Type.LEGACY}
    read = names_in_code()
    assert read - honoured == set(), "read by code; give them Status.HONOURED and a help text"
    assert honoured - read - COMPOSED == set(), "honoured by no code"


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
