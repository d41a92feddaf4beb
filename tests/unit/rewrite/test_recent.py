"""A resolver with a short memory."""

import asyncio

from angarium.config.config import Config
from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.rewrite.parameters import RewriteParameters
from angarium.rewrite.recent import MOMENT, RecentRewrite
from angarium.tables.opener import TableOpener


class Asked:
    pattern = False

    def __init__(self, name):
        self.name = name
        self.keys = []
        self.answer = Found("slow:", "table:1")

    async def lookup(self, key):
        self.keys.append(key)
        return self.answer if key == "joe@example.org" else NOT_FOUND


def resolver(clock):
    asked = Asked("asked:transport")
    opener = TableOpener(lambda text: None, {"asked": lambda name, argument: asked})
    conf = Config.of({"myhostname": "mail.test", "mydestination": "", "transport_maps": "asked:transport"})
    return RecentRewrite(RewriteParameters.from_config(conf), opener, clock), asked


def test_an_answer_holds_for_a_moment():
    now = 5.0
    rewrite, asked = resolver(lambda: now)

    def transport(sender="a@x.test", recipient="joe@example.org"):
        return asyncio.run(rewrite.resolve(sender, recipient)).transport

    assert transport() == "slow"
    questions = len(asked.keys)
    asked.answer = Found("fast:", "table:1")
    assert transport() == "slow"
    assert len(asked.keys) == questions
    assert transport(sender="b@x.test") == "fast"  # another question
    now += MOMENT
    assert transport() == "fast"


def test_a_temporary_error_is_asked_again():
    rewrite, asked = resolver(lambda: 5.0)
    asked.answer = TemporaryError("down", "table")
    assert isinstance(asyncio.run(rewrite.resolve("a@x.test", "joe@example.org")), TemporaryError)
    asked.answer = Found("slow:", "table:1")
    assert asyncio.run(rewrite.resolve("a@x.test", "joe@example.org")).transport == "slow"


def test_the_memory_is_bounded():
    rewrite, _asked = resolver(lambda: 5.0)
    for number in range(1000):
        asyncio.run(rewrite.resolve("a@x.test", f"u{number}@example.org"))
    assert len(rewrite._recent) <= 256
