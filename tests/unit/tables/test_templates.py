"""``%`` templates; the answers are those of Postfix 3.7's postmap (tests/interop/tables compares more of them)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.tables.database.template import KeyParts, Template


def expand(text, key, result=None):
    query = Template.parse(text)
    needs = query.needs | (Template.parse(result, result=True).needs if result else query.needs)
    parts = KeyParts.of(key, needs)
    return None if parts is None else parts.expand(query, lambda piece: piece.replace("'", "''"))


@pytest.mark.parametrize(
    ("text", "key", "expanded"),
    [
        ("%s|%u|%d", "user@a.b.c", "user@a.b.c|user|a.b.c"),
        ("%S|%U|%D", "user@a.b.c", "user@a.b.c|user|a.b.c"),
        ("%1-%2-%3", "user@a.b.c", "c-b-a"),
        ("%1-%2-%3", "user@b.c", None),
        ("%1-%2-%3", "user@a..c", None),
        ("%1-%2-%3", "user@a.b.c.", "c-b-a"),
        ("%1", "@a.b", "b"),
        ("%1", "a.b", None),
        ("%u", "user", "user"),
        ("%u", "@domain", None),
        ("%u", "user@", "user"),
        ("%d", "user", None),
        ("%d", "user@", None),
        ("%d", "@domain", "domain"),
        ("%u %d", "a@b@c", "a@b c"),
        ("100%% %s", "x", "100% x"),
        ("%%s", "x", "%s"),
        ("fixed", "x", "fixed"),
        ("'%s'", "it's", "'it''s'"),
        ("%s", "%s", "%s"),
        ("%s", "", None),
    ],
)
def test_queries(text, key, expanded):
    assert expand(text, key) == expanded


@pytest.mark.parametrize("key", ["user", "@domain"])
def test_what_the_result_needs_of_the_key_stops_the_query(key):
    assert expand("%s", key, "%U@%D") is None
    assert expand("%s", "user@b.c", "%2") == "user@b.c"
    assert expand("%s", "user@c", "%2") is None


@pytest.mark.parametrize(
    ("text", "value", "formatted"),
    [
        ("%s", "x@y", "x@y"),
        ("%u", "x@y", "x"),
        ("%u", "plain", "plain"),
        ("%u", "@y", None),
        ("%d", "x@y", "y"),
        ("%d", "plain", None),
        ("%d", "x@", None),
        ("smtp:[%s]", "host", "smtp:[host]"),
        ("%S %U %D %1 %s", "v", "k@b.c k b.c c v"),
        ("%%", "v", "%"),
        ("%s", "", None),
        ("fixed", "v", "fixed"),
    ],
)
def test_results(text, value, formatted):
    template = Template.parse(text, result=True)
    parts = KeyParts.of("k@b.c", template.needs)
    assert parts.format(template, value) == formatted


@pytest.mark.parametrize("text", ["%", "%x", "a%", "%0", "% s", "%\n"])
def test_wrong_templates(text):
    with pytest.raises(ValueError, match="invalid query template"):
        Template.parse(text)
    with pytest.raises(ValueError, match="invalid result template"):
        Template.parse(text, result=True)


@settings(max_examples=100)
@given(st.text(alphabet="%sudSUD123456789ab@.'", max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_template_key_and_value(text, key, value):
    try:
        query, result = Template.parse(text), Template.parse(text, result=True)
    except ValueError:
        return
    parts = KeyParts.of(key, query.needs | result.needs)
    if parts is not None:
        quoted = parts.expand(query, lambda piece: "'" * len(piece))
        assert len(quoted) == len(parts.expand(query))
        parts.format(result, value)
