"""master.cf: fields, options, braces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.config.error import ConfigError
from angarium.config.lines import decode
from angarium.config.master_cf import parse_master_cf
from angarium.config.render import service_line


def one(text):
    return parse_master_cf(text, "master.cf").services[0]


def test_reads_a_service():
    entry = one("# c\nsubmission inet n - y 60? 5 smtpd -v\n  -o a=b -o { c = d, e } -of=$g\n")
    assert (entry.name, entry.type, entry.key) == ("submission", "inet", "submission/inet")
    assert (entry.private, entry.unprivileged, entry.chroot) == (False, True, True)
    assert (entry.wakeup, entry.wakeup_if_used, entry.process_limit) == (60, True, 5)
    assert entry.command == "smtpd"
    assert entry.overrides == {"a": "b", "c": "d, e", "f": "$g"}
    assert entry.verbose == 1
    assert (entry.file, entry.line) == ("master.cf", 2)


def test_dashes_are_defaults():
    entry = one("smtp unix - - - - - smtp")
    assert (entry.private, entry.unprivileged, entry.chroot, entry.wakeup, entry.process_limit) == (
        True,
        True,
        None,
        0,
        None,
    )


def test_operands_follow_the_options():
    entry = one("x unix - n n - - pipe -o a=b flags=R user=vmail argv=/bin/x -o ${recipient}")
    assert entry.overrides == {"a": "b"}
    assert entry.operands == ("flags=R", "user=vmail", "argv=/bin/x", "-o", "${recipient}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smtp inet n - y -", "master.cf, line 1: bad field count"),
        ("smtp foo n - y - - smtpd", 'invalid type field "foo" in "smtp foo n - y - - smtpd"'),
        ("smtp inet q - y - - smtpd", 'invalid private field "q"'),
        ("smtp inet n - y x - smtpd", 'invalid wakeup field "x"'),
        ("smtp inet n - y - -1 smtpd", 'invalid process_limit field "-1"'),
    ],
)
def test_says_which_field_is_wrong(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_master_cf(text, "master.cf")
    assert message in str(caught.value)


def test_what_is_odd_is_kept_and_told():
    master = parse_master_cf("smtp inet n - n - - smtpd -o { foo }\n", "master.cf")
    assert master.services[0].overrides == {}
    assert "missing '=' after attribute name" in master.warnings[0]
    assert parse_master_cf("smtp inet n - n - - smtpd -o { a = b", "m").services[0].overrides == {"a": "b"}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_services_or_a_config_error(data):
    try:
        parse_master_cf(decode(data), "x")
    except ConfigError as error:
        if error.line == 0:
            raise


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just("-v"),
            st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "x y", "a, b"])).map(
                lambda pair: f"-o {{ {pair[0]} = {pair[1]} }}"
            ),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_a_service_that_is_printed_reads_the_same(options, fold):
    entry = one("smtp inet n - y 60? 3 smtpd " + " ".join(options))
    again = one(service_line(entry, fold=fold))
    assert (again.overrides, again.verbose, again.fields) == (entry.overrides, entry.verbose, entry.fields)
