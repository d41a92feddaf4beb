"""Every name in Postfix's own manual of parameters is known here, as what it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from angarium.commands.check.verbs import all_verbs
from angarium.config.obsolete import GONE
from angarium.config.per_service import by_suffix
from angarium.config.registry import registry

MANUAL = Path("/usr/share/doc/postfix/html/postconf.5.html")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not MANUAL.is_file() and not os.environ.get("CI"), reason="needs postfix-doc"),
]

NO_PARAMETERS = {
    "warn_if_reject",
    "reject_maps_rbl",
    "check_address_map",
    "no_address_mappings",
    "no_header_body_checks",
    "no_milters",
    "no_unknown_recipient_checks",
}
"""Anchors of the page for what stands inside of values, beside the restrictions."""


def documented():
    return set(re.findall(r'<a name="([A-Za-z0-9_]+)">\1</a>', MANUAL.read_text(encoding="utf-8", errors="replace")))


def test_every_documented_parameter_is_known():
    assert len(documented()) > 900
    known = {*registry(), *GONE, *all_verbs(), *NO_PARAMETERS}
    assert {name for name in documented() if name not in known and by_suffix(name) is None} == set()


def test_nothing_is_said_to_be_gone_that_works():
    assert set(GONE) & set(registry()) == set()
