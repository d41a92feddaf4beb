import asyncio
import os
import pwd
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.tables.directory import directory_factory
from angarium.tables.opener import TableOpener
from angarium.tables.simple import NisTable
from angarium.tables.watch import WatchedFile


class Opened:
    def __init__(self, base=None, extra=None):
        self.warnings = []
        self.opener = TableOpener(self.warnings.append, extra, base)

    def ask(self, name, key):
        return asyncio.run(self.opener.open(name).lookup(key))


def value(result):
    return result.value if isinstance(result, Found) else None


def test_a_text_file_has_keys_values_continuations_and_comments(tmp_path):
    (tmp_path / "virtual").write_text(
        "# comment\n\nA@x.test  one,\n  two\n   # inside\nb@x.test\tthree\n"
        '"c d@x.test" four\nbare\nb@x.test five\nk: v\n'
    )
    opened = Opened(tmp_path)
    assert opened.ask("texthash:virtual", "a@X.test") == Found("one,  two", f"{tmp_path}/virtual:3")
    assert value(opened.ask("hash:virtual", "b@x.test")) == "three"
    assert value(opened.ask("lmdb:virtual", '"c d@x.test"')) == "four"
    assert opened.ask("virtual", "nobody") is NOT_FOUND
    joined = "\n".join(opened.warnings)
    assert f"{tmp_path}/virtual, line 8: expected format: key whitespace value" in joined
    assert 'line 9: duplicate entry: "b@x.test"' in joined
    assert 'record is in "key: value" format' in joined


def test_a_changed_file_is_read_again_at_most_once_a_second(tmp_path):
    path = tmp_path / "f"
    path.write_text("one")
    now = [10.0]
    reads = []
    watched = WatchedFile(path, lambda text: reads.append(text) or text, lambda: now[0])
    assert watched.current() == "one"
    path.write_text("two!")
    assert watched.current() == "one"
    now[0] += 1
    assert watched.current() == "two!"
    now[0] += 1
    assert watched.current() == "two!"
    assert reads == ["one", "two!"]
    path.unlink()
    now[0] += 1
    with pytest.raises(FileNotFoundError):
        watched.current()
    path.write_text("three")
    assert watched.current() == "three"


def test_a_table_that_cannot_be_opened_is_a_temporary_error(tmp_path):
    opened = Opened(tmp_path)
    for name in ("hash:/no/such", "regexp:/no/such", "nosuch:/etc/x.cf", "inline:{nonsense}", "fail:down"):
        assert isinstance(opened.ask(name, "k"), TemporaryError)
    assert isinstance(opened.ask("cidr:/no/such", "192.0.2.1"), TemporaryError)
    assert any("unsupported dictionary type: nosuch" in each for each in opened.warnings)


def test_static_inline_environ_proxy(monkeypatch):
    monkeypatch.setenv("angarium_x", "y")
    opened = Opened()
    assert value(opened.ask("static:OK", "anything")) == "OK"
    assert value(opened.ask("static:{two words}", "anything")) == "two words"
    assert value(opened.ask("inline:{a=b, {c = d e}, A=z}", "C")) == "d e"
    assert value(opened.ask("inline:{a=b, a=z}", "a")) == "z"
    assert value(opened.ask("environ:any", "ANGARIUM_X")) == "y"
    assert value(opened.ask("proxy:inline:{a=b}", "a")) == "b"


def test_a_file_of_aliases_is_known_by_its_first_line(tmp_path):
    (tmp_path / "aliases").write_text('# see aliases(5)\nPostmaster: root\n"two words": joe\nroot:bob,\n\tamy\n')
    opened = Opened(tmp_path)
    assert value(opened.ask("hash:aliases", "postmaster")) == "root"
    assert value(opened.ask("hash:aliases", "two words")) == "joe"
    assert opened.ask("hash:aliases", "root") == Found("bob, amy", f"{tmp_path}/aliases:4")
    assert opened.warnings == []


def test_nis_without_a_domain(tmp_path):
    warnings = []
    (tmp_path / "domain").write_text("(none)\n")
    table = NisTable("nis:mail.aliases", warnings.append, tmp_path / "domain")
    assert asyncio.run(table.lookup("root")) is NOT_FOUND
    assert warnings == ["dict_nis_init: NIS domain name not set - NIS lookups disabled"]
    (tmp_path / "domain").write_text("example\n")
    with pytest.raises(ValueError, match="NIS is not supported"):
        NisTable("nis:mail.aliases", warnings.append, tmp_path / "domain")


def test_users_and_groups_of_the_system():
    me = pwd.getpwuid(os.getuid()).pw_name
    opened = Opened()
    assert value(opened.ask("unix:passwd.byname", me)).startswith(f"{me}:x:{os.getuid()}:")
    assert value(opened.ask("proxy:unix:group.byname", "root")).startswith("root:x:0:")
    assert opened.ask("unix:passwd.byname", "no such user") is NOT_FOUND
    assert isinstance(opened.ask("unix:hosts", me), TemporaryError)


def test_regexp_rules(tmp_path):
    (tmp_path / "r").write_text(
        "# comment\n"
        "/^postmaster@/ OK\n"
        "/^(.*)-outgoing@(.*)$/ 550 Use ${1}@$(2) for $$5.\n"
        "!/@/ nodomain\n"
        "if /@example/\n"
        "/^a@/ inner\n"
        "if !/\\.org$/\n"
        "/^b@/ notorg\n"
        "endif\n"
        "endif\n"
        "/case@X/i exact\n"
        "/zz/!/yy/ second\n"
        "/[[:digit:]]{3}@/ digits\n"
        "|slash/es@| bar\n"
        "/unclosed\n"
        "/bad(/ x\n"
        "endif\n"
        "/noresult/\n"
    )
    opened = Opened(tmp_path)
    ask = lambda key: value(opened.ask("regexp:r", key))  # noqa: E731
    assert ask("PostMaster@x") == "OK"
    assert ask("list-outgoing@x.test") == "550 Use list@x.test for $5."
    assert ask("bare") == "nodomain"
    assert ask("a@example.org") == "inner"
    assert ask("a@other.org") is None
    assert ask("b@example.com") == "notorg"
    assert ask("b@example.org") is None
    assert ask("case@x") is None
    assert ask("case@X") == "exact"
    assert ask("123@x") == "digits"
    assert ask("slash/es@x") == "bar"
    assert (ask("zz@x"), ask("zzyy@x")) == ("second", None)
    assert opened.ask("regexp:r", "a@example.org").source == f"{tmp_path}/r:6"
    assert [each.partition("regexp map r, ")[2] for each in opened.warnings] == [
        'line 15: no closing regexp delimiter "/": skipping this rule',
        "line 16: Unmatched ( or \\(",
        "line 17: ignoring ENDIF without matching IF",
        "line 18: no replacement text: using empty string",
    ]
    assert value(opened.ask("regexp:{{/^a/ x y}, {/b/ z}}", "abc")) == "x y"


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("name", ["regexp:{{/^((a+)+)*(z?)$\\3/ x}, {/b/ y}}", "pcre:{{/^(a+)+$/ x}, {/b/ y}}"])
def test_an_expression_without_end_is_stopped(name, loop_factory):
    opened = Opened()
    table = opened.opener.open(name)

    async def ask():
        return [await table.lookup(key) for key in ("a" * 60 + "!", "aaa", "b")]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        slow, quick, other = runner.run(ask())
    assert isinstance(slow, TemporaryError)
    assert "takes too long" in slow.cause
    assert "its mail has to wait" in opened.warnings[0]
    assert (value(quick), value(other)) == ("x", "y")


def test_cidr_rules(tmp_path):
    (tmp_path / "c").write_text(
        "192.0.2.1 one\n192.0.2.0/24\ttwo\n!10.0.0.0/8 three\nif 10.1.0.0/16\n10.1.2.3 four\nendif\n192.0.2.1/24 bad\n"
        "2001:db8::/32 six\n"
    )
    opened = Opened(tmp_path)
    ask = lambda key: value(opened.ask("cidr:c", key))  # noqa: E731
    assert [ask(each) for each in ("192.0.2.1", "192.0.2.9", "198.51.100.1", "10.1.2.3", "10.9.9.9", "x")] == [
        "one",
        "two",
        "three",
        "four",
        None,
        None,
    ]
    assert len(opened.warnings) == 1
    assert "line 7" in opened.warnings[0]
    assert value(opened.ask("cidr:{{2001:db8::/32 six}}", "2001:db8::1")) == "six"


def test_the_directory_is_a_table():
    class Directory:
        def domain(self, name):
            return Found(name, "directory:domains") if name == "x.test" else NOT_FOUND

        account = alias = domain

    opened = Opened(extra={"directory": directory_factory(Directory())})
    assert value(opened.ask("directory:domains", "x.test")) == "x.test"
    assert opened.ask("directory:accounts", "y.test") is NOT_FOUND
    assert isinstance(opened.ask("directory:nonsense", "x.test"), TemporaryError)


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text):
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        for kind in ("texthash", "regexp", "cidr"):
            path = Path(directory, kind)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            Opened().ask(f"{kind}:{path}", "10.0.0.1")
            path.unlink()


@pytest.mark.parametrize(
    "pattern", ["(a{0,30}){0,30}", "a{1000}{20}", "((x{9}){9}){9}", "(" * 300 + ")" * 300, "a" * 9000]
)
def test_expressions_that_would_exhaust_the_c_library_are_refused(pattern, tmp_path):
    (tmp_path / "r").write_text(f"/{pattern}/ x\n/b{{1,63}}(c{{1,63}})/ y\n")
    opened = Opened(tmp_path)
    assert value(opened.ask("regexp:r", "bcx")) == "y"
    assert opened.warnings == ["regexp map r, line 1: Regular expression too big"]


def test_a_long_key_costs_little():
    opened = Opened()
    assert opened.ask("regexp:{{/(.*)(.*)(.*)x/ y}}", "a" * 10_000_000) is NOT_FOUND
    assert value(opened.ask("pcre:{{/^a.*z/ y}}", "a" * 100_000 + "z")) == "y"


def test_without_glibc_expressions_are_translated(monkeypatch):
    monkeypatch.setattr("angarium.tables.posix._library", lambda: None)
    opened = Opened()
    ask = lambda rule, key: value(opened.ask(f"regexp:{{{{{rule}}}}}", key))  # noqa: E731
    assert ask(r"/^[[:alpha:]]+[]x-]\.$/ y", "Ab].") == "y"
    assert ask(r"/\<word\>/ y", "a word.") == "y"
    assert ask(r"/^[^[:space:]a-c\]+$/ y", "def") == "y"
    assert ask(r"/^a.c$/ <$0>", "a\nc") is None
    assert ask(r"/^(a)(.)c$/m <$2>", "abc") == "<b>"
    assert ask(r"/c$/ y", "c\n") is None
    assert ask(r"/\(a\)/x y", "a") is None
    assert any("basic expressions are not supported" in each for each in opened.warnings)
    assert any("out-of-range" in each for each in opened.warnings)
