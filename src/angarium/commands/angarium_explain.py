"""``angarium explain``: where a message would go and why, and what would have to be different for the other outcome.

    angarium explain --from A --to B --client IP [--helo H] [--sasl U] [--tls] [--ccert FP] [--eml FILE] [--service S]
        [--verp [DELIMITERS]] [--json]

It is a dry run: the server's own functions judge the session, rewrite the addresses and resolve the recipients; name
servers and policy servers are asked, but nothing is queued, stored, sent or logged. ``--from ''`` is the null sender,
``--eml -`` reads the message from standard input. Exit status: 0 accepted; 69 refused; 75 deferred; 65 a client that is
no IP address; 66 a message that cannot be read; 78 a configuration that cannot be.
"""

from __future__ import annotations

import argparse
import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from angarium.commands.angarium_output import Failure, Result


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium explain``."""
    explain = nouns.add_parser("explain", parents=[common], help="tell where a message would go, and why")
    explain.add_argument(
        "--from", dest="sender", required=True, metavar="address", help="the sender; '' is the null one"
    )
    explain.add_argument("--to", dest="recipient", required=True, metavar="address", help="the recipient")
    explain.add_argument("--client", default="127.0.0.1", metavar="ip", help="where it comes from (127.0.0.1)")
    explain.add_argument("--helo", default="client.example.com", metavar="name", help="what the client calls itself")
    explain.add_argument("--sasl", default="", metavar="user", help="the name that the client has logged in with")
    explain.add_argument("--tls", action="store_true", help="the session is encrypted (with --sasl it is)")
    explain.add_argument(
        "--ccert", default="", metavar="fingerprint", help="of the certificate that the client shows, or of its key"
    )
    explain.add_argument("--eml", metavar="file", help="the message, for checks and rewriting of its header")
    explain.add_argument("--service", default="", metavar="name", help="of master.cf (the smtpd of port 25)")
    explain.add_argument(
        "--verp",
        nargs="?",
        const="",
        metavar="delimiters",
        help="the client asks for VERP (XVERP)",
    )
    explain.set_defaults(inspect=inspect)


def inspect(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """Explain by a configuration directory; what to print, and the exit status. Raises Failure."""
    import asyncio  # late: the other nouns need none of this

    from angarium.commands.explain.engine import Question, explain
    from angarium.commands.explain.render import Renderer
    from angarium.config.config import Config
    from angarium.config.error import ConfigError

    try:
        client = str(ip_address(options.client))
    except ValueError:
        raise Failure(os.EX_DATAERR, f"not an IP address: {options.client}") from None
    question = Question(
        options.sender.strip("<>"),
        options.recipient.strip("<>"),
        client,
        options.helo,
        options.sasl,
        options.tls,
        options.ccert,
        _content(options.eml),
        options.service,
        options.verp,
    )
    try:
        done = asyncio.run(explain(directory, question))
        conf = Config.load(directory)
    except ConfigError as error:
        raise Failure(os.EX_CONFIG, str(error)) from error
    renderer = Renderer(conf.for_service(done.service), done)
    status = 0
    if done.refused:
        status = os.EX_TEMPFAIL if done.reply.startswith("4") else os.EX_UNAVAILABLE
    return Result(renderer.lines(), renderer.value()), status


def _content(name: str | None) -> bytes:
    """The message in wire form. Raises Failure."""
    if name is None:
        return b""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Failure(os.EX_NOINPUT, f"{name}: {error.strerror}") from error
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
