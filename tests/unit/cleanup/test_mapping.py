import asyncio

import pytest

from angarium.cleanup.generic import make_generic
from angarium.cleanup.mapping import AddressMap, Canonical, Masquerade
from angarium.model.content import MemoryContent
from angarium.model.error import MailError
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.maps import Maps
from angarium.tables.matchlist import MatchList
from angarium.tables.opener import TableOpener


def whole(address):
    return address.text if "@" in address.text or not address.text else f"{address.text}@origin.test"


async def own(domain):
    return domain == "own.test"


def table(text, *, propagate=True):
    opener = TableOpener(lambda _: None)
    return AddressMap(Maps.open("canonical_maps", (text,), opener), "+", whole, own, propagate=propagate)


def inline(*entries):
    return "inline:{" + ", ".join(f"{{{entry}}}" for entry in entries) + "}"


@pytest.mark.parametrize(
    ("entries", "address", "results"),
    [
        (("a@x=b@y",), "a@x", ["b@y"]),
        (("a@x=b@y",), "a+e@x", ["b+e@y"]),
        (("a+e@x=b@y",), "a+e@x", ["b@y"]),
        (("a=b",), "a+e@own.test", ["b+e@origin.test"]),
        (("a+e=b",), "a+e@own.test", ["b@origin.test"]),
        (("a=b",), "a@x", []),
        (("@x=@y",), "a+e@x", ["a+e@y"]),
        (("a@x=@y",), "a+e@x", ["a+e@y"]),
        (("@x=b@y",), "a+e@x", ["b@y"]),
        (('"a b"@x=c@y',), "a b@x", ["c@y"]),
        (("a@x=A B <a@y>, (c) d",), "a@x", ["a@y", "d@origin.test"]),
        (("a@x=<>",), "a+e@x", [""]),
    ],
)
def test_one_look_up(entries, address, results):
    assert asyncio.run(table(inline(*entries)).find(address)) == results


def test_extensions_stay_behind_when_they_are_not_to_go_along():
    assert asyncio.run(table(inline("a@x=b@y"), propagate=False).find("a+e@x")) == ["b@y"]
    assert asyncio.run(table(inline("a@x=@y"), propagate=False).find("a+e@x")) == ["a+e@y"]


def test_a_table_that_fails_is_a_temporary_error_with_postfixs_words():
    with pytest.raises(MailError) as caught:
        asyncio.run(table("fail:down").find("a@x"))
    assert str(caught.value.reply) == "451 4.3.0 Error: queue file write error"
    assert caught.value.cause.startswith(
        "canonical_maps map lookup problem for a@x -- message not accepted, try again later"
    )


def test_canonical_ends_in_a_circle():
    log = MemoryLog()
    step = Canonical(table(inline("a@x=b@x", "b@x=c@x", "c@x=a@x")), ServiceLog(log, "postfix/cleanup"))
    assert asyncio.run(step("a@x", "4F2A")) == "b@x"  # after ten steps
    assert "4F2A: unreasonable canonical_maps map nesting for b@x" in log.lines[0]


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("joe@h.example.test", "joe@example.test"),
        ("joe@h.H.Example.TEST", "joe@example.test"),
        ("joe@example.test", "joe@example.test"),
        ("joe@xexample.test", "joe@xexample.test"),
        ("joe@h.keep.example.test", "joe@h.keep.example.test"),
        ("joe@a.keep.example.test", "joe@a.keep.example.test"),
        ("joe@x.twice.test", "joe@twice.test"),
        ("ROOT@h.example.test", "ROOT@h.example.test"),
        ("joe", "joe"),
    ],
)
def test_masquerade(address, result):
    exceptions = MatchList("masquerade_exceptions", ("root",), TableOpener(lambda _: None))
    step = Masquerade(("!keep.example.test", "example.test", "!!twice.test", "!", ""), exceptions)
    assert asyncio.run(step(address, "")) == result


def generic(*entries):
    opener = TableOpener(lambda _: None)
    settings = {"delimiters": "+", "propagate": False, "token_limit": 0}
    return make_generic("smtp_generic_maps", entries, opener, whole, own, **settings)


def test_generic_maps_what_leaves():
    assert generic() is None
    maps = generic(inline("joe@in.test=j.d@out.test", "@in.test=all@out.test", "r@one.test=r@in.test"))
    assert asyncio.run(maps.address("joe@in.test")) == "j.d@out.test"
    assert asyncio.run(maps.address("")) == ""
    assert asyncio.run(maps.address("r@one.test")) == "r@in.test"  # once
    body = MemoryContent(b"From: Joe <joe@in.test>\r\nX: joe@in.test\r\n\r\njoe@in.test\r\n")
    content = asyncio.run(maps.content(b"Received: x\r\nSender: amy@in.test\r\n", body))
    assert content.read() == (
        b"Received: x\r\nSender: all@out.test\r\nFrom: Joe <j.d@out.test>\r\nX: joe@in.test\r\n\r\njoe@in.test\r\n"
    )
    assert asyncio.run(maps.content(b"", body)).size == body.size + 1
    untouched = MemoryContent(b"From: a@x.test\r\n\r\n")
    assert asyncio.run(maps.content(b"", untouched)) is untouched


def test_generic_maps_find_headers_beyond_the_first_mebibyte():
    maps = generic(inline("joe@in.test=j.d@out.test"))
    far = (b"X: " + b"x" * 1000 + b"\r\n") * 2200 + b"To: joe@in.test\r\n"
    content = asyncio.run(maps.content(b"From: joe@in.test\r\n", MemoryContent(far + b"\r\nTo: joe@in.test\r\n")))
    assert content.read().startswith(b"From: j.d@out.test\r\n")
    assert content.read().endswith(b"\r\nTo: j.d@out.test\r\n\r\nTo: joe@in.test\r\n")
