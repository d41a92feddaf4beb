import asyncio

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener


def match(patterns, *, domain=None, client=None, word=None, **options):
    patterns = MatchList("p", patterns, TableOpener(lambda _text: None), **options)
    if domain is not None:
        return asyncio.run(patterns.match_domain(domain))
    if word is not None:
        return asyncio.run(patterns.match_string(word))
    return asyncio.run(patterns.match_client(*client))


def test_names_and_parents():
    assert match(["Example.test"], domain="EXAMPLE.test") == Found("Example.test", "p")
    assert match(["example.test"], domain="sub.example.test") is NOT_FOUND
    assert match([".example.test"], domain="a.sub.example.test") == Found(".example.test", "p")
    assert match([".example.test"], domain="example.test") is NOT_FOUND
    assert match(["example.test"], domain="sub.example.test", bare_parents=True) == Found("example.test", "p")
    assert match([".example.test"], domain="sub.example.test", bare_parents=True) is NOT_FOUND


def test_the_first_pattern_decides():
    assert match(["!sub.x.test", ".x.test"], domain="sub.x.test") is NOT_FOUND
    assert isinstance(match([".x.test", "!sub.x.test"], domain="sub.x.test"), Found)
    assert isinstance(match(["!!x.test"], domain="x.test"), Found)


@pytest.mark.parametrize(
    ("patterns", "client", "found"),
    [
        (["127.0.0.0/8"], ("unknown", "127.1.2.3"), True),
        (["192.0.2.1"], ("unknown", "192.0.2.1"), True),
        (["[::1]/128"], ("unknown", "::1"), True),
        (["[2001:db8::]/32"], ("unknown", "2001:db8::5"), True),
        (["2001:db8::/32"], ("unknown", "2001:db9::5"), False),
        (["192.0.2.0/24"], ("unknown", "::ffff:192.0.2.7"), True),
        (["host.x.test"], ("HOST.x.test", "192.0.2.1"), True),
        (["unknown"], ("unknown", "192.0.2.1"), False),
        (["cidr:{{192.0.2.0/24 OK}}"], ("a.test", "192.0.2.1"), True),
        (["static:all"], ("unknown", "192.0.2.1"), True),
        (["!192.0.2.1", "192.0.2.0/24"], ("unknown", "192.0.2.1"), False),
        (["inline:{192.0.2.1=x}"], ("a.test", "192.0.2.1"), True),
        (["3com.test"], ("3com.test", "192.0.2.1"), True),
    ],
)
def test_clients(patterns, client, found):
    assert isinstance(match(patterns, client=client, networks=True), Found) == found


def test_what_cannot_be_asked_is_a_temporary_error_when_it_is_reached():
    assert isinstance(match(["192.0.2.1/24"], client=("unknown", "192.0.2.9"), networks=True), TemporaryError)
    assert isinstance(match(["10.0.0.0/8", "192.0.2.1/24"], client=("unknown", "10.0.0.1"), networks=True), Found)
    assert isinstance(match(["fail:x"], domain="x.test"), TemporaryError)
    assert isinstance(match(["/no/such/file"], domain="x.test"), TemporaryError)


def test_files_of_patterns(tmp_path):
    inner = tmp_path / "inner"
    inner.write_text("# ours\na.test, b.test\n  !c.test\n")
    assert match([str(inner)], domain="b.test") == Found("b.test", f"{inner}:2")
    assert match([f"!{inner}", "static:all"], domain="a.test") is NOT_FOUND
    assert match([str(inner), "static:all"], domain="c.test") is NOT_FOUND
    assert isinstance(match([f"!{inner}"], domain="c.test"), Found)
    assert match(["!a.test", str(inner)], domain="a.test") is NOT_FOUND
    tables = tmp_path / "tables"
    tables.write_text("inline:{x.test=1, y.test=2} !z.test\n")
    assert isinstance(match([str(tables)], domain="y.test"), Found)
    assert match([str(tables), "z.test"], domain="z.test") is NOT_FOUND
    (tmp_path / "broken").write_text("inline:{x\n")
    assert isinstance(match([str(tmp_path / "broken")], domain="x.test"), TemporaryError)
    loop = tmp_path / "loop"
    loop.write_text(f"{loop}\n")
    assert isinstance(match([str(loop)], domain="a.test"), TemporaryError)


def test_words():
    assert isinstance(match(["static:anyone"], word="joe"), Found)
    assert match(["!joe", "static:anyone"], word="joe") is NOT_FOUND


@pytest.mark.parametrize("patterns", [["10.0.0.0/8"], ["inline:{10.0.0.1=x}", "10.0.0.0/8"]])
def test_more_clients_than_are_kept_get_their_answers_again_and_again(patterns):
    networks = MatchList("p", patterns, TableOpener(lambda _text: None), networks=True)

    async def ask():
        return [
            isinstance(await networks.match_client("unknown", f"{first}.0.{n // 256}.{n % 256}"), Found)
            for _turn in range(2)
            for n in range(1500)
            for first in (10, 11)
        ]

    assert asyncio.run(ask()) == [True, False] * 3000


def test_a_file_that_changes_is_seen_by_clients_that_were_known(tmp_path, monkeypatch):
    path = tmp_path / "networks"
    path.write_text("10.0.0.0/8\n")
    networks = MatchList("p", [str(path)], TableOpener(lambda _text: None), networks=True)
    assert isinstance(asyncio.run(networks.match_client("unknown", "10.0.0.1")), Found)
    path.write_text("192.0.2.0/24 \n")
    for pattern in networks._patterns:
        pattern.file._checked = float("-inf")
    assert asyncio.run(networks.match_client("unknown", "10.0.0.1")) is NOT_FOUND
