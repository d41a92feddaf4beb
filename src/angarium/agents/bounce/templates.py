"""The words of notices: the built-in templates, and those of ``bounce_template_file`` (bounce(5)).

A template's text may contain ``$name`` and ``${name}`` of main.cf, ``$$`` for a dollar, and ``delay_warning_time`` and
``maximal_queue_lifetime`` with the suffix of a time unit. A file may replace some templates; the others stay.

A file that cannot be read, and a template in it that has no sense, are left out with a warning: no notice may fail
for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from angarium.agents.bounce.interface import Event

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
TIMES = ("delay_warning_time", "maximal_queue_lifetime")

_NAME = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\}|\((\w+)\))", re.ASCII)
_BEGIN = re.compile(r"(\w+)\s*=\s*<<\s*(\S+)\s*", re.ASCII)
_HEADER = re.compile(r"([A-Za-z-]+):[ \t]*(.*)", re.ASCII)
_ADDRESS = re.compile(r"(\S+) \((.+)\)")


@dataclass(frozen=True, slots=True)
class Template:
    """What one kind of notice says.

    Attributes:
        subject: to the sender.
        postmaster_subject: of the postmaster's copy; empty when there is none.
        returned: what the attached message is called.
        text: before its ``$names`` are expanded.
        sender: address and display name of the From header.
        charset: of the text.
    """

    subject: str
    postmaster_subject: str
    returned: str
    text: str
    sender: tuple[str, str] = ("MAILER-DAEMON", "Mail Delivery System")
    charset: str = "utf-8"


def expand(text: str, value: Callable[[str], str]) -> str:
    """``text`` with each ``$name`` replaced by ``value(name)``."""
    return _NAME.sub(lambda match: "$" if match[0] == "$$" else value(match[1] or match[2] or match[3]), text)


def names_in(text: str) -> Iterator[str]:
    """The parameters that a text mentions."""
    for match in _NAME.finditer(text):
        if match[0] != "$$":
            yield match[1] or match[2] or match[3]


def read_templates(text: str, warn: Callable[[str], None]) -> dict[Event, Template]:
    """The templates of a file's text, with the built-in ones for those that it has not."""
    templates = dict(TEMPLATES)
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begin = _BEGIN.fullmatch(line)
        if begin is None:
            warn(f"line {number}: not a template: {line}")
            return templates
        body: list[str] = []
        for _number, content in lines:
            if content == begin[2]:
                break
            body.append(content)
        else:
            warn(f"line {number}: template {begin[1]} has no end {begin[2]}")
            return templates
        event = _EVENTS.get(begin[1])
        if event is not None:
            templates[event] = _template(TEMPLATES[event], body, number, warn)
        else:
            warn(f"line {number}: unknown template {begin[1]}")
    return templates


def _template(template: Template, body: list[str], line: int, warn: Callable[[str], None]) -> Template:
    """A built-in template with the headers and the text of a file's, which begins at that line."""
    at = 0
    while at < len(body) and (header := _HEADER.fullmatch(body[at])) is not None:
        name, value = header[1].lower(), header[2].strip()
        at += 1
        if not value.isprintable() or not value.isascii():
            warn(f"line {line}: header {header[1]} holds what a header cannot")
        elif name == "charset":
            template = replace(template, charset=value)
        elif name == "subject":
            template = replace(template, subject=value)
        elif name == "postmaster-subject":
            template = replace(template, postmaster_subject=value)
        elif name == "from":
            address = _ADDRESS.fullmatch(value)
            template = replace(template, sender=(address[1], address[2]) if address is not None else (value, ""))
        else:
            warn(f"line {line}: unknown header {header[1]}")
    if at < len(body) and not body[at].strip():
        at += 1
    return replace(template, text="\n".join(body[at:]) + "\n")


_ASSISTANCE = """\
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system
"""

TEMPLATES = {
    Event.FAILURE: Template(
        "Undelivered Mail Returned to Sender",
        "Postmaster Copy: Undelivered Mail",
        "Undelivered Message",
        """\
This is the mail system at host $myhostname.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

"""
        + _ASSISTANCE,
    ),
    Event.DELAY: Template(
        "Delayed Mail (still being retried)",
        "Postmaster Warning: Delayed Mail",
        "Undelivered Message",
        """\
This is the mail system at host $myhostname.

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.

"""
        + _ASSISTANCE,
    ),
    Event.SUCCESS: Template(
        "Successful Mail Delivery Report",
        "",
        "Message",
        """\
This is the mail system at host $myhostname.

Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

                   The mail system
""",
    ),
    Event.TRACE: Template(
        "Mail Delivery Status Report",
        "",
        "Message",
        """\
This is the mail system at host $myhostname.

Enclosed is the mail delivery report that you requested.

                   The mail system
""",
    ),
}

_EVENTS = {
    "failure_template": Event.FAILURE,
    "delay_template": Event.DELAY,
    "success_template": Event.SUCCESS,
    "verify_template": Event.TRACE,
}
"""What bounce(5) calls them."""
