"""Scenes for VERP, which ``verpstage`` plays: settings, the mail that is handed in, and what is done then."""

from __future__ import annotations

from dataclasses import dataclass, field

LIST = "owner-list@lists.test"
TEXT = (
    "From: list@lists.test\nTo: everybody@lists.test\nSubject: news\nMessage-Id: <1@lists.test>\n"
    "Date: Tue, 24 Nov 2026 08:00:00 +0000\n\nhello\n"
)
PEOPLE = ("anna@one.test", "no1@one.test", "no2@two.test")


@dataclass(frozen=True)
class Submission:
    """A message: by SMTP with ``parameters`` behind MAIL, or with these options by sendmail."""

    parameters: str = "XVERP"
    sender: str = LIST
    recipients: tuple[str, ...] = PEOPLE
    text: str = TEXT
    sendmail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What is set up and what happens.

    A step that is no submission is a command with its options, or ``relent`` (the outside defers no more), ``restart``,
    ``wait`` (two seconds), ``postcat`` (of all that is queued). ``script`` is a file of that text, ROOT/keep.
    ``deferred``: how often what waits is tried is nobody's business.
    """

    steps: tuple[Submission | str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    script: str = ""
    services: tuple[str, ...] = ()
    deferred: bool = False


def sendmail(*options: str, **fields: object) -> Submission:
    """A message by the sendmail command."""
    return Submission(sendmail=options, **fields)  # type: ignore[arg-type]


ALIASES = "inline:{ {everybody@a.test = anna@one.test, no1@one.test, sub@a.test} {sub@a.test = no2@two.test} }"
LATER = ("anna@one.test", "later1@one.test", "later2@two.test")

SCENES = {
    "xverp": Scene((Submission(),)),
    "sendmail": Scene((sendmail("-XV"),)),
    "delimiters": Scene((Submission("XVERP=-="), sendmail("-XV=+"), sendmail("-V"))),
    "default-delimiters": Scene((Submission(), sendmail("-XV")), {"default_verp_delimiters": "-="}),
    "one-report": Scene((Submission(),), {"disable_verp_bounces": "yes"}),
    "aliases": Scene(
        (Submission(recipients=("everybody@a.test",)),),
        {"virtual_alias_maps": ALIASES, "virtual_alias_domains": "a.test"},
    ),
    "odd-senders": Scene(
        (
            Submission(sender="owner-list+ext@lists.test", recipients=("anna@one.test", "no+ext@one.test")),
            Submission(sender="list", recipients=("anna", "no1")),
            Submission(sender='"a b"@lists.test', recipients=('"c d"@one.test', '"no d"@one.test', "no=@x.test")),
            Submission(sender="l@[192.0.2.9]", recipients=("no@[192.0.2.8]",)),
            Submission(sender='"a@b"@lists.test', recipients=('"no@d"@one.test',)),
        )
    ),
    "canonical": Scene(
        (Submission(sender="l@in.test", recipients=("a@in.test", "no@in.test")),),
        {
            "canonical_maps": "inline:{ {l@in.test = list@out.test}, {a@in.test = anna@out.test},"
            " {no@in.test = nobody@out.test} }"
        },
    ),
    "generic": Scene(
        (Submission(sender="l@in.test", recipients=("a@in.test", "no@in.test")),),
        {
            "smtp_generic_maps": "inline:{ {l@in.test = list@out.test}, {a@in.test = anna@out.test},"
            " {l+a=in.test@in.test = q@out.test} }"
        },
    ),
    "postmaster": Scene((Submission(),), {"notify_classes": "bounce, delay", "bounce_notice_recipient": "pm@pm.test"}),
    "postmaster-one": Scene(
        (Submission(),),
        {"notify_classes": "bounce", "bounce_notice_recipient": "pm@pm.test", "disable_verp_bounces": "yes"},
    ),
    "delay": Scene((Submission(recipients=LATER), "wait", "postqueue -f"), {"delay_warning_time": "1s"}),
    "delay-cleared": Scene(
        (Submission(recipients=LATER), "wait", "postqueue -f", "relent", "postqueue -f"),
        {"delay_warning_time": "1s", "confirm_delay_cleared": "yes"},
    ),
    "success": Scene(
        (
            Submission(
                "XVERP RET=HDRS ENVID=e1",
                recipients=(
                    "anna@one.test|NOTIFY=SUCCESS,FAILURE",
                    "no1@one.test|NOTIFY=NEVER",
                    "no2@two.test|NOTIFY=FAILURE ORCPT=rfc822;orig@two.test",
                ),
            ),
        )
    ),
    "report": Scene((sendmail("-XV", "-v"),)),
    "expired": Scene(
        (Submission(recipients=(*LATER, "no1@one.test")), "postsuper -f ALL", "postqueue -f"), deferred=True
    ),
    "expired-one": Scene(
        (Submission(recipients=(*LATER, "no1@one.test")), "postsuper -f ALL", "postqueue -f"),
        {"disable_verp_bounces": "yes"},
        deferred=True,
    ),
    "requeued": Scene((Submission(recipients=LATER), "postsuper -r ALL", "relent", "postqueue -f"), deferred=True),
    "later": Scene((Submission(recipients=LATER), "postcat", "restart", "relent", "postqueue -f"), deferred=True),
    "same-destination": Scene((Submission(recipients=tuple(f"p{n}@one.test" for n in range(5))),)),
    "bcc": Scene(
        (Submission(),),
        {"always_bcc": "archive@bcc.test", "sender_bcc_maps": "inline:{ {owner-list@lists.test = no-bcc@bcc.test} }"},
    ),
    "by-sender": Scene(
        (Submission(),),
        {
            "relayhost": "",
            "sender_dependent_relayhost_maps": "inline:{ {owner-list@lists.test = [127.0.0.1]:PORT} }",
            "default_transport": "smtp:[127.0.0.1]:PORT",
        },
    ),
    "null-sender": Scene((Submission(sender="l@in.test"),), {"sender_canonical_maps": "inline:{ {l@in.test = <>} }"}),
    "pipe": Scene(
        (
            Submission(
                recipients=("a@pipe.test", "b+x@pipe.test"),
            ),
        ),
        {"transport_maps": "inline:{ {pipe.test = show:} }", "show_destination_recipient_limit": "50"},
        'cat > "$1"\n',
        ("show unix - n n - - pipe flags=R user=daemon argv=/bin/sh ROOT/keep ROOT/${sender}.${recipient}",),
    ),
    "content-filter": Scene(
        (Submission("XVERP", recipients=("anna@one.test", "no1@one.test")),),
        {"content_filter": "smtp:[127.0.0.1]:PORT"},
    ),
    "local": Scene(
        (Submission(recipients=("team@local.test", "plain@local.test", "cmd@local.test", "nosuch@local.test")),),
        {
            "mydestination": "local.test",
            "local_recipient_maps": "",
            "alias_maps": "inline:{ {team = x@one.test, no1@one.test}, {owner-team = boss@one.test},"
            " {plain = y@one.test, no2@one.test}, {cmd = |/bin/sh ROOT/keep} }",
        },
        'cat > "${0%/*}/$SENDER"\n',
        ("local unix - n n - - local",),
    ),
}
