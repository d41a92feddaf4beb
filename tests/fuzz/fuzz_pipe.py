"""atheris target: what pipe(8) makes of attributes, addresses and messages. Run: python tests/fuzz/fuzz_pipe.py."""

from __future__ import annotations

import contextlib
import sys

from angarium.agents.pipe.macros import MacroError, MacroRules, expand
from angarium.config.error import ConfigError
from angarium.delivery.attributes import FLAGS, PIPE, Attributes, unescape
from angarium.delivery.framing import Form, shaped
from angarium.delivery.outcomes import decode
from angarium.model.content import MemoryContent
from angarium.model.delivery import DeliveryRequest, QueuedRecipient
from angarium.model.envelope import Envelope, Origin, Recipient


def expanded(words: list[str], address: str, flags: frozenset[str]) -> None:
    """An argument never becomes more than one for each recipient, and never takes a word of another."""
    queued = QueuedRecipient(0, Recipient(address, address))
    envelope = Envelope(address, (queued.recipient,), 1.0, Origin("ESMTP", helo=address))
    request = DeliveryRequest("4F2A", "t", address, envelope, (queued,), b"", MemoryContent(b""), 1.0, 2.0)
    rules = MacroRules(flags, address, "+-")
    with contextlib.suppress(MacroError):
        assert len(expand(words, request, 1, rules)) <= len(words)
    assert len(expand(["$recipient", "x${sender}", "$nexthop"], request, 1, rules)) == 3


def one_input(data: bytes) -> None:
    """Any message in any pieces has one form; any attributes are read or refused."""
    flags = frozenset(flag for number, flag in enumerate(sorted(FLAGS)) if data[:1] and data[0] >> (number % 8) & 1)
    form = Form("F" in flags, ">" in flags, "." in flags, "B" in flags, data[1:3] or b"\n")
    whole = b"".join(shaped(form, b"M\n", b"H\n", [data]))
    for step in (1, 5):
        pieces = [data[start : start + step] for start in range(0, len(data), step)]
        assert b"".join(shaped(form, b"M\n", b"H\n", pieces)) == whole
    text = data.decode("utf-8", "surrogateescape")
    unescape(text)
    words = text.split(" ")
    with contextlib.suppress(ConfigError):
        Attributes.parse(words, PIPE)
    expanded(words, text, flags)
    with contextlib.suppress(ValueError):
        decode(data)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
