"""The bounce templates of postconf(1): ``-t`` shows them as they stand, ``-b`` their texts as a recipient reads them.

An operand names the file instead of ``bounce_template_file``; an empty one means the built-in templates.

Fails with ConfigError for a file that cannot be read or understood: here somebody is about to use it.
"""

from __future__ import annotations

from pathlib import Path

from angarium.agents.bounce.interface import Event
from angarium.agents.bounce.parameters import BounceParameters
from angarium.agents.bounce.templates import TEMPLATES, Template, expand, read_templates
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.lines import decode

_VERIFY = Template(
    "Mail Delivery Status Report",
    "",
    "Message",
    """\
This is the mail system at host $myhostname.

Enclosed is the mail delivery report that you requested.

                   The mail system
""",
)
"""Of the answer to ``sendmail -bv``."""

_NAMES = {Event.FAILURE: "failure", Event.DELAY: "delay", Event.SUCCESS: "success"}


def show(config: Config, operands: list[str], *, expanded: bool) -> str:
    """What ``-b`` (expanded) or ``-t`` prints. Raises ConfigError."""
    name = operands[0] if operands else config.text("bounce_template_file")
    templates = _read(name)
    parameters = BounceParameters.from_config(config)
    parts = []
    for label, template in (*((_NAMES[event], templates[event]) for event in _NAMES), ("verify", _VERIFY)):
        if expanded:
            parts.append(f"expanded_{label}_text = <<EOF\n{expand(template.text, parameters.value)}EOF\n")
        else:
            parts.append(f"{label}_template = <<EOF\n{_header(template)}\n{template.text}EOF\n")
    return "\n".join(parts)


def _read(name: str) -> dict[Event, Template]:
    if not name:
        return dict(TEMPLATES)
    try:
        text = decode(Path(name).read_bytes())
    except OSError as error:
        raise ConfigError(f"open {name}: {error.strerror}") from error
    complaints: list[str] = []
    templates = read_templates(text, complaints.append)
    if complaints:
        raise ConfigError(f"{name}, {complaints[0]}")
    return templates


def _header(template: Template) -> str:
    address, display = template.sender
    built_in = template.charset == "utf-8"  # Postfix's own templates call themselves us-ascii, which ours are, too
    sender = f"{display} <{address}>" if built_in else f"{address} ({display})" if display else address
    lines = [
        f"Charset: {'us-ascii' if built_in else template.charset}",
        f"From: {sender}",
        f"Subject: {template.subject}",
    ]
    if template.postmaster_subject:
        lines.append(f"Postmaster-Subject: {template.postmaster_subject}")
    return "".join(f"{line}\n" for line in lines)
