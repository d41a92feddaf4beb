"""Tagged refusals as exceptions, and the one place where a store's error becomes a reply (RFC 5530 codes)."""

from __future__ import annotations

from collections.abc import Iterable

from angarium.mailstore.interface import (
    MailboxExistsError,
    MailboxNameError,
    MailstoreError,
    MailstoreUnavailableError,
    MailTooLargeError,
    NoSuchMailboxError,
    OverQuotaError,
)


class CommandError(Exception):
    """A command ends with ``NO`` or ``BAD``; ``text`` is for the client, with its response code in front."""

    word = b"NO"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class No(CommandError):  # noqa: N818 - the protocol's own word
    """``tag NO text``."""


class Bad(CommandError):  # noqa: N818 - the protocol's own word
    """``tag BAD text``."""

    word = b"BAD"


_MAX_KEYWORD = 200
_MAX_KEYWORDS = 500
_MAX_KEYWORD_BYTES = 4000


def bound_keywords(flags: Iterable[str]) -> None:
    """Keep a mailbox's keywords few and short: each costs every SELECT. Raises No."""
    names = [name for name in flags if not name.startswith("\\")]
    sizes = list(map(len, names))
    if len(sizes) > _MAX_KEYWORDS or max(sizes, default=0) > _MAX_KEYWORD or sum(sizes) > _MAX_KEYWORD_BYTES:
        msg = "[LIMIT] Too many or too long keywords"
        raise No(msg)


def refusal(error: MailstoreError, *, try_create: bool = False) -> No:
    """The reply for a store's error; ``try_create`` for APPEND, COPY and MOVE (RFC 9051 section 7.1)."""
    match error:
        case NoSuchMailboxError():
            return No("[TRYCREATE] Mailbox doesn't exist" if try_create else "[NONEXISTENT] Mailbox doesn't exist")
        case MailboxExistsError():
            return No("[ALREADYEXISTS] Mailbox already exists")
        case MailboxNameError():
            return No(f"[CANNOT] {str(error) or 'Mailbox name is not allowed'}")
        case MailTooLargeError():
            return No(f"[LIMIT] {error}")
        case OverQuotaError():
            return No(f"[OVERQUOTA] {str(error) or 'Quota exceeded (mailbox for user is full)'}")
        case MailstoreUnavailableError():
            return No("[UNAVAILABLE] Mailbox is not available now, please try again later")
        case _:
            return No("[SERVERBUG] Internal error occurred")
