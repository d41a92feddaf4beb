"""What address verification hears of commands and mailbox files: as Postfix's pipe(8) and virtual(8) answer a probe."""

from __future__ import annotations

import asyncio

import pytest

from angarium.config.config import Config
from angarium.master.node import Node
from angarium.master.probes import PROBES
from angarium.model.envelope import Envelope, Origin, Recipient
from angarium.runtime.log import MemoryLog

MAIN = """virtual_mailbox_format = files
virtual_mailbox_base = /vmail
virtual_mailbox_maps = inline:{m@t.test=m, d@t.test=d/, lost@t.test=x}
virtual_uid_maps = inline:{m@t.test=1000, d@t.test=1000}
virtual_gid_maps = static:1000
"""
MASTER = """drop unix - n n - - pipe user=daemon argv=/bin/true $nosuch
stranger unix - n n - - pipe user=nosuchuser argv=/bin/true
wrong unix - n n - - pipe argv=/bin/true
virtual unix - n n - - virtual
"""


@pytest.mark.parametrize(
    ("service", "address", "said"),
    [
        ("drop", "a@p.test", "sent 2.0.0 drop delivers to command: /bin/true"),
        ("stranger", "a@p.test", "deferred 4.3.0 stranger unknown mail transport error"),
        ("wrong", "a@p.test", "deferred 4.3.0 wrong unknown mail transport error"),
        ("virtual", "m@t.test", "sent 2.0.0 virtual delivers to mailbox"),
        ("virtual", "D@t.test", "sent 2.0.0 virtual delivers to maildir"),
        ("virtual", "no@t.test", 'bounced 5.1.1 virtual unknown user: "no@t.test"'),
        ("virtual", "lost@t.test", "deferred 4.3.5 virtual mail system configuration error"),
    ],
)
def test_probes(tmp_path, service, address, said):
    (tmp_path / "main.cf").write_text(MAIN + f"queue_directory = {tmp_path}\ndata_directory = {tmp_path}\n")
    (tmp_path / "master.cf").write_text(MASTER)
    node = Node(Config.load(tmp_path), MemoryLog())
    (entry,) = (each for each in node.conf.master.services if each.name == service)
    envelope = Envelope("", (Recipient(address, address),), 1.0, Origin("local"))
    result = asyncio.run(PROBES[entry.command](node, entry)(service, "", envelope))
    assert f"{result.status.value} {result.dsn} {result.relay} {result.text}" == said
