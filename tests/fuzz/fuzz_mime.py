"""Any octets as a message: the scanner, every renderer, and what the mailstore derives.

Run: ``python tests/fuzz/fuzz_mime.py -atheris_runs=10000``.
"""

from __future__ import annotations

import sys

from angarium.mailstore.derived import Analysis, unpack_parts
from angarium.protocols.mime.content import parse_disposition, parse_media_type
from angarium.protocols.mime.header import select
from angarium.protocols.mime.words import decode_words


def one_input(data: bytes) -> None:
    """Analyse a message as the mailstore does, and check what must hold for any input."""
    prefix = b"Received: by us\r\n"
    derived = Analysis(data).with_prefix(prefix)
    whole = prefix + data
    assert derived.size == len(whole)
    assert whole.startswith(derived.header)
    for wire in (derived.envelope, derived.body, derived.bodystructure):
        assert wire.startswith(b"(")
        assert wire.endswith(b")")
        assert b"\0" not in wire
    for span in unpack_parts(derived.parts):
        assert 0 <= span.start <= span.body <= span.end <= len(whole)
    select(data, [b"subject", b"from"])
    parse_media_type(data)
    parse_disposition(data)
    decode_words(data)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
