"""atheris target: whole sessions before the restrictions, with addresses, HELO names, answers and lists of any kind.

Run: python tests/fuzz/fuzz_policy.py -atheris_runs=1000. What must hold: nothing raises, and a stranger's mail to a
domain that is not ours is never accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.policy.delegation import ServiceSettings
from angarium.policy.dnslists import parse_list
from angarium.policy.interface import Facts
from angarium.policy.main import make_policy
from angarium.protocols.policy.attributes import AttributeReader, render
from angarium.rewrite.interface import AddressClass
from angarium.rewrite.main import make_resolver
from angarium.runtime.dns import StaticResolver
from angarium.runtime.log import MemoryLog, ServiceLog
from angarium.tables.opener import TableOpener

MAIN = {
    "myhostname": "mail.example.test",
    "mydestination": "local.test",
    "inet_interfaces": "127.0.0.1",
    "mynetworks": "127.0.0.1",
    "virtual_alias_domains": "valias.test",
    "virtual_mailbox_domains": "vbox.test",
    "virtual_mailbox_maps": "static:all",
    "local_recipient_maps": "",
    "recipient_delimiter": "+-",
    "smtpd_sender_restrictions": "reject_non_fqdn_sender, check_sender_mx_access static:DUNNO, "
    "reject_rhsbl_sender list.test, reject_unknown_sender_domain",
    "smtpd_helo_restrictions": "reject_invalid_helo_hostname, check_helo_ns_access static:DUNNO, "
    "reject_rhsbl_helo l.test",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_mx_backup, reject_unauth_destination",
}
LOG = ServiceLog(MemoryLog(), "fuzz")
CONF = Config.of(MAIN)
OPENER = TableOpener(LOG.warning)
RESOLVER = make_resolver(CONF, OPENER)
POLICY = make_policy(CONF, RESOLVER, OPENER, LOG, None, StaticResolver())


async def _session(sender: str, recipient: str, helo: str) -> None:
    facts = Facts("unknown", "203.0.113.9", helo=helo, protocol="ESMTP", sender=sender, recipient=recipient)
    for ask in (POLICY.connect, POLICY.helo, POLICY.mail, POLICY.data, POLICY.end_of_data):
        await ask(facts)
    verdict = await POLICY.rcpt(facts)
    way = await RESOLVER.resolve(sender, recipient)
    assert not isinstance(way, TemporaryError)
    if recipient.lower() != "postmaster" and (way.address_class is AddressClass.DEFAULT or way.routed):
        assert verdict.refused, (sender, recipient, way)
    await POLICY.rcpt(Facts("unknown", "127.0.0.1", helo=helo, sender=sender, recipient=recipient))


def one_input(data: bytes) -> None:
    """Nothing raises, and strangers do not relay."""
    parts = [part.decode("utf-8", "replace") for part in data.split(b"\n", 4)]
    sender, recipient, helo, argument, *_ = [*parts, "", "", "", "", ""]
    if recipient:
        asyncio.run(_session(sender, recipient, helo))
    with contextlib.suppress(ValueError):
        parse_list(argument).matches("127.0.0.2")
    with contextlib.suppress(ValueError):
        ServiceSettings("").of(argument)
    with contextlib.suppress(ValueError):
        AttributeReader().receive_data(data)
    assert render({"a": argument}).count(b"\n") == 2


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
