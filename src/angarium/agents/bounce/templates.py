"""The words of notices, the built-in templates of bounce(5): what senders and postmasters know from Postfix."""

from __future__ import annotations

from dataclasses import dataclass

from angarium.agents.bounce.interface import Event


@dataclass(frozen=True, slots=True)
class Template:
    """What one kind of notice says.

    Attributes:
        subject: to the sender.
        postmaster_subject: of the postmaster's copy; empty when there is none.
        returned: what the attached message is called.
        text: with ``str.format`` fields ``myhostname``, ``delay_hours`` and ``lifetime_days``.
    """

    subject: str
    postmaster_subject: str
    returned: str
    text: str


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
This is the mail system at host {myhostname}.

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
This is the mail system at host {myhostname}.

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than {delay_hours} hour(s).
It will be retried until it is {lifetime_days} day(s) old.

"""
        + _ASSISTANCE,
    ),
    Event.SUCCESS: Template(
        "Successful Mail Delivery Report",
        "",
        "Message",
        """\
This is the mail system at host {myhostname}.

Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

                   The mail system
""",
    ),
}
