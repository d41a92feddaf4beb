"""Commands of an SMTP client, from their text (RFC 5321 section 4.1.1) to values.

A line is cut into words as smtpd(8) does it: at blanks, except inside ``<…>`` and ``"…"``; ``FROM:`` and ``TO:`` end
a word whether a blank follows or not. The usual line takes a short path with the same result.

Fails with CommandError, whose reply is the one that Postfix gives.
"""

from __future__ import annotations

from angarium.model.envelope import BodyType, Notify, Ret
from angarium.model.reply import Reply
from angarium.model.verp import VerpRules
from angarium.protocols.smtp.path import decode_xtext, parse_path
from angarium.protocols.smtp.types import BdatCommand, CommandError, MailCommand, RcptCommand

MAIL_SYNTAX = Reply.of(501, "5.5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply.of(501, "5.5.4", "Syntax: RCPT TO:<address>")
BAD_SENDER = Reply.of(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply.of(501, "5.1.3", "Bad recipient address syntax")
BAD_SIZE = Reply.of(501, "5.5.4", "Bad message size syntax")
SIZE_OVERFLOW = Reply.of(552, "5.3.4", "Message size exceeds file system imposed limit")
BAD_RET = Reply.of(501, "5.5.4", "Bad RET parameter syntax")
BAD_ENVID = Reply.of(501, "5.5.4", "Bad ENVID parameter syntax")
BAD_NOTIFY = Reply.of(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
BAD_ORCPT = Reply.of(501, "5.5.4", "Error: Bad ORCPT parameter syntax")
DSN_DISABLED = Reply.of(501, "5.7.1", "DSN support is disabled")
VERP_OF_NOBODY = Reply.of(503, "5.5.4", "Error: XVERP requires non-null sender")
BDAT_SYNTAX = Reply.of(521, "5.5.4", "Syntax: BDAT count [LAST]")

SIZE_BOUND = 2**63 - 1
_BODIES = {"7BIT": BodyType.SEVENBIT, "8BITMIME": BodyType.EIGHTBITMIME}
_RETS = {"FULL": Ret.FULL, "HDRS": Ret.HDRS}
_NOTIFY = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}
_BLANKS = " \t\n\v\f\r"


def split_words(text: str) -> tuple[list[str], int]:
    """Cut a command line into words; and which of them has a quotation or bracket that is not closed, or -1."""
    words: list[str] = []
    word: list[str] = []
    at = 0
    length = len(text)
    unclosed = -1
    while at < length:
        char = text[at]
        at += 1
        if char in _BLANKS:
            if word:
                words.append("".join(word))
                word = []
        elif char in '<"':
            end = _quoted_end(text, at, ">" if char == "<" else '"')
            if end == 0:
                unclosed = len(words)
            word.append(text[at - 1 : end if end > 0 else length])
            at = end if end > 0 else length
        elif char == ":":
            word.append(char)
            if "".join(word).lower() in ("from:", "to:"):
                words.append("".join(word))
                word = []
        elif char == "\\":
            word.append(text[at - 1 : at + 1])
            at += 1
        else:
            word.append(char)
    if word:
        words.append("".join(word))
    return words, unclosed


def _quoted_end(text: str, at: int, closer: str) -> int:
    """The position behind ``closer``; 0 when it is missing."""
    stack = [closer]
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            at += 1
        elif char == stack[-1]:
            stack.pop()
            if not stack:
                return at
        elif char == '"':
            stack.append('"')
        elif char == "<" and stack[-1] == ">":
            stack.append(">")
    return 0


def _path_and_parameters(text: str, keyword: str, syntax: Reply, bad_path: Reply) -> tuple[str, list[str]]:
    """The path's word and the parameters of ``MAIL FROM:…`` or ``RCPT TO:…``."""
    prefix = 5 + len(keyword)
    if text[5:prefix].upper() == keyword and text[4] == " " and '"' not in text and "\\" not in text:
        rest = text[prefix:].strip(_BLANKS)
        if rest[:1] == "<":
            end = rest.find(">") + 1
            plain = end == len(rest) or (rest[end] == " " and ":" not in rest[end:] and "<" not in rest[end:])
            if end and plain and rest.rfind("<", 0, end) == 0:
                return rest[:end], rest[end:].split() if end < len(rest) else []
    words, unclosed = split_words(text)
    if len(words) < 3 or words[1].upper() != keyword:
        raise CommandError(syntax)
    if unclosed == 2:
        raise CommandError(bad_path)
    return words[2], words[3:]


def parse_mail(
    text: str,
    *,
    strict: bool = False,
    dsn: bool = True,
    smtputf8: bool = True,
    min_user: bool = True,
    numeric: bool = False,
    null: bool = False,
    verp: VerpRules | None = None,
) -> MailCommand:
    """Parse a MAIL line.

    Args:
        text: the line, from its verb on.
        strict: postconf(5) ``strict_rfc821_envelopes``.
        dsn: RET and ENVID are allowed.
        smtputf8: SMTPUTF8 is allowed.
        min_user: postconf(5) ``allow_min_user``.
        numeric: ``resolve_numeric_domain``.
        null: ``resolve_null_domain``.
        verp: XVERP is allowed, with these delimiters.

    Raises:
        CommandError: with the reply for the client.
    """
    path, parameters = _path_and_parameters(text, "FROM:", MAIL_SYNTAX, BAD_SENDER)
    try:
        utf8 = smtputf8 and any(word.upper() == "SMTPUTF8" for word in parameters)
        sender = parse_path(path, strict=strict, smtputf8=utf8, min_user=min_user, numeric=numeric, null=null)
    except ValueError as error:
        raise CommandError(BAD_SENDER, path) from error
    if not parameters:
        return MailCommand(sender)
    size = 0
    body = BodyType.UNSAID
    sasl_sender: str | None = None
    ret = Ret.UNSAID
    envid = ""
    delimiters = ""
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        name = name.upper()
        if name == "SIZE" and equals:
            size = _size(value)
        elif name == "BODY" and value.upper() in _BODIES:
            body = _BODIES[value.upper()]
        elif name == "SMTPUTF8" and not equals and smtputf8:
            pass  # it was looked for before the path was read
        elif name == "AUTH" and equals:
            sasl_sender = "" if value == "<>" else value
        elif name in ("RET", "ENVID") and equals:
            if not dsn:
                raise CommandError(DSN_DISABLED)
            if name == "RET":
                ret = _once_ret(ret, value)
            else:
                envid = _once_envid(envid, value)
        else:
            delimiters = _verp(parameter, verp)
    if delimiters and not sender:
        raise CommandError(VERP_OF_NOBODY)
    return MailCommand(sender, size, body, sasl_sender, ret, envid, utf8, delimiters)


def _verp(parameter: str, verp: VerpRules | None) -> str:
    """The delimiters of a parameter that must be XVERP, as it is none of the others (VERP_README of Postfix)."""
    name, equals, value = parameter.partition("=")
    if verp is None or name.upper() != "XVERP":
        raise CommandError(Reply.of(555, "5.5.4", f"Unsupported option: {parameter}"))
    if not equals:
        return verp.default
    if not verp.permit(value):
        raise CommandError(Reply.of(501, "5.5.4", f"Error: XVERP needs two characters from {verp.allowed}"))
    return value


def _size(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise CommandError(BAD_SIZE)
    if len(value) > 19 or (size := int(value)) > SIZE_BOUND:
        raise CommandError(SIZE_OVERFLOW)
    return size


def _once_ret(ret: Ret, value: str) -> Ret:
    found = _RETS.get(value.upper())
    if found is None or ret is not Ret.UNSAID:
        raise CommandError(BAD_RET)
    return found


def _once_envid(envid: str, value: str) -> str:
    try:
        decoded = decode_xtext(value)
    except ValueError as error:
        raise CommandError(BAD_ENVID) from error
    if envid or not decoded or not (decoded.isascii() and decoded.isprintable()):
        raise CommandError(BAD_ENVID)
    return decoded


def parse_rcpt(
    text: str,
    *,
    strict: bool = False,
    dsn: bool = True,
    smtputf8: bool = False,
    min_user: bool = True,
    numeric: bool = False,
    null: bool = False,
) -> RcptCommand:
    """Parse an RCPT line; arguments and failures as for ``parse_mail``, but ``smtputf8`` is what MAIL asked for."""
    path, parameters = _path_and_parameters(text, "TO:", RCPT_SYNTAX, BAD_RECIPIENT)
    try:
        recipient = parse_path(path, strict=strict, smtputf8=smtputf8, min_user=min_user, numeric=numeric, null=null)
    except ValueError as error:
        raise CommandError(BAD_RECIPIENT, path) from error
    if not recipient:
        raise CommandError(BAD_RECIPIENT, path)
    if not parameters:
        return RcptCommand(recipient)
    notify = Notify.UNSAID
    orcpt = ""
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        name = name.upper()
        if name not in ("NOTIFY", "ORCPT") or not equals:
            raise CommandError(Reply.of(555, "5.5.4", f"Unsupported option: {parameter}"))
        if not dsn:
            raise CommandError(DSN_DISABLED)
        if name == "NOTIFY":
            if notify:
                raise CommandError(BAD_NOTIFY)
            notify = parse_notify(value)
        else:
            if orcpt:
                raise CommandError(BAD_ORCPT)
            orcpt = _orcpt(value)
    return RcptCommand(recipient, notify, orcpt)


def parse_notify(value: str) -> Notify:
    """The value of NOTIFY: ``NEVER``, or a list of the others (RFC 3461 section 4.1). Raises CommandError."""
    if value.upper() == "NEVER":
        return Notify.NEVER
    notify = Notify.UNSAID
    for word in filter(None, value.upper().split(",")):
        bit = _NOTIFY.get(word)
        if bit is None:
            raise CommandError(BAD_NOTIFY)
        notify |= bit
    if not notify:
        raise CommandError(BAD_NOTIFY)
    return notify


def _orcpt(value: str) -> str:
    """``type;xtext`` decoded. ``utf-8`` addresses keep their own encoding (RFC 6533 section 3)."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not kind:
        raise CommandError(BAD_ORCPT)
    try:
        decoded = address if kind.lower() == "utf-8" else decode_xtext(address)
    except ValueError as error:
        raise CommandError(BAD_ORCPT) from error
    if "\0" in decoded or "\n" in decoded or "\r" in decoded:
        decoded = address  # it goes into header fields and log lines: it stays encoded
    return f"{kind};{decoded}"


def parse_bdat(text: str) -> BdatCommand:
    """Parse a BDAT line. Raises CommandError: the session cannot go on, as nobody knows where the chunk ends."""
    words = text.split()
    last = len(words) == 3 and words[2].upper() == "LAST"
    if not (len(words) == 2 or last) or not words[1].isascii() or not words[1].isdigit() or len(words[1]) > 18:
        raise CommandError(BDAT_SYNTAX)
    return BdatCommand(int(words[1]), last)
