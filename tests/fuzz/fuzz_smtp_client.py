"""Any octets from a server, cut anywhere, against the client's session, in SMTP and in LMTP.

Run: ``python tests/fuzz/fuzz_smtp_client.py -atheris_runs=10000``.
"""

from __future__ import annotations

import sys

from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.protocols.smtp.client import ClientSession, ContentWanted, Malformed, TransactionEnded
from angarium.protocols.smtp.client_states import State
from angarium.protocols.smtp.dialect import LMTP, SMTP


def one_input(data: bytes) -> None:
    """One session of a client that always goes on as far as it may."""
    if not data:
        return
    recipients = tuple(Recipient(f"r{n}@example.org", f"r{n}@example.org") for n in range(1 + data[0] % 3))
    envelope = Envelope("a@example.org", recipients, 0.0, Origin("ESMTP"))
    dialect = LMTP if data[0] & 128 else SMTP
    session = ClientSession(dialect=dialect)
    step = 1 + data[0] % 7
    for at in range(1, len(data), step):
        events = session.receive_data(data[at : at + step])
        for event in events:
            if isinstance(event, Malformed):
                assert not session.reusable
                return
            if isinstance(event, ContentWanted):
                b"".join(session.content((b"x\r\n",)))
            if isinstance(event, TransactionEnded):
                assert all(reply is not None for reply in session.replies)
        if session.state is State.GREETED and session.step.name == "MAIL":
            session.hello("client", extended=at % 2 == 0 or dialect is LMTP)
        elif session.reusable:
            session.mail(envelope, recipients, 10)
        session.output()


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
