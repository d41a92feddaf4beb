"""The virtual delivery agent: from the queue into mailboxes of the mailstore (virtual(8)).

A delivery is idempotent by (queue id, recipient number): a second attempt for a recipient that has the message already
says "sent" again and stores nothing. The content is analysed once for all recipients, and their appends run together.

Outcomes: sent when the message is on stable storage; bounced for an unknown user, for a full mailbox (or deferred, as
over_quota_action says), and for a message that is larger than the mailbox takes; deferred for everything that may pass
(a lookup that failed, a damaged or busy database, a full disk). A warning about the quota is always taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from angarium.agents.virtual.headers import delivery_headers
from angarium.agents.virtual.lookup import Locate, find_account
from angarium.agents.virtual.parameters import VirtualParameters
from angarium.mailstore.interface import (
    MailStore,
    MailstoreError,
    MailTooLargeError,
    NewMail,
    NoSuchMailboxError,
    OverQuotaError,
)
from angarium.model.delivery import DeliveryRequest, DeliveryResult, QueuedRecipient, Status
from angarium.model.dsn import Dsn
from angarium.model.lookup import Found, TemporaryError
from angarium.model.quota import WARNING_SERVICE
from angarium.runtime.log import ServiceLog

RELAY = "virtual"
_DELIVERED = Dsn(2, 0, 0)
_UNKNOWN_USER = Dsn(5, 1, 1)
_FULL = {"bounce": (Status.BOUNCED, Dsn(5, 2, 2)), "defer": (Status.DEFERRED, Dsn(4, 2, 2))}
_TOO_LARGE = Dsn(5, 2, 3)
_LOOKUP_FAILED = Dsn(4, 3, 5)
_STORE_FAILED = Dsn(4, 3, 0)
_WOULD = Dsn(2, 0, 0)
_NO_FLAGS: frozenset[str] = frozenset()


class VirtualAgent:
    """``model.delivery.DeliveryAgent`` for the mailstore.

    Args:
        parameters: of main.cf.
        store: where mail goes.
        locate: what a lookup key stands for; see ``lookup.find_account``.
        log: ``postfix/virtual``; only failures of ours are told here, the outcome is logged by whoever asked.
        clock: seconds since the epoch.
        zone: minutes east of UTC at a time, for INTERNALDATE.
    """

    def __init__(
        self,
        parameters: VirtualParameters,
        store: MailStore,
        locate: Locate,
        log: ServiceLog,
        clock: Callable[[], float],
        zone: Callable[[float], int],
    ) -> None:
        self._parameters = parameters
        self._store = store
        self._locate = locate
        self._log = log
        self._clock = clock
        self._zone = zone

    async def deliver(self, request: DeliveryRequest) -> Sequence[DeliveryResult]:
        """Deliver to each recipient; one result each."""
        if len(request.recipients) == 1:
            return [await self._deliver(request, request.recipients[0])]
        return await asyncio.gather(*[self._deliver(request, one) for one in request.recipients])

    async def _deliver(self, request: DeliveryRequest, queued: QueuedRecipient) -> DeliveryResult:
        started = self._clock()
        status, dsn, text = await self._attempt(request, queued)
        return DeliveryResult(
            recipient=queued,
            status=status,
            dsn=dsn,
            relay=RELAY,
            text=text,
            agent_ready=started,
            connected=started,
            finished=self._clock(),
        )

    async def _attempt(self, request: DeliveryRequest, queued: QueuedRecipient) -> tuple[Status, Dsn, str]:
        recipient = queued.recipient
        found = await find_account(self._locate, recipient.address, self._parameters.recipient_delimiter)
        if isinstance(found, TemporaryError):
            self._log.warning(f"table virtual_mailbox_maps: lookup {recipient.address.casefold()}: {found.cause}")
            return Status.DEFERRED, _LOOKUP_FAILED, "mail system configuration error"
        if not isinstance(found, Found):
            return Status.BOUNCED, _UNKNOWN_USER, f'unknown user: "{recipient.address}"'
        if request.verify:
            return Status.SENT, _WOULD, "delivers to mailbox"
        original = recipient.original or recipient.address if self._parameters.enable_original_recipient else ""
        headers = delivery_headers(request.envelope.sender, original, recipient.address)
        now = self._clock()
        mail = NewMail(
            mailbox="INBOX",
            prefix=headers + request.prefix,
            content=request.content,
            flags=_NO_FLAGS,
            internaldate=now,
            zone=self._zone(now),
            key=f"{request.queue_id} {request.envelope.arrival:.6f} {queued.number}",
            exempt=request.envelope.origin.service == WARNING_SERVICE,
        )
        try:
            account = await self._store.open(found.value)
            [stored] = await account.append((mail,))
        except MailTooLargeError as error:
            return Status.BOUNCED, _TOO_LARGE, str(error)
        except OverQuotaError as error:
            return *_FULL[self._parameters.over_quota_action], str(error)
        except NoSuchMailboxError as error:
            return Status.DEFERRED, _STORE_FAILED, f"mailbox {error} is not there"
        except MailstoreError as error:
            # the store has said the cause in the log; the sender reads no paths
            self._log.warning(f"{request.queue_id}: {error}")
            return Status.DEFERRED, _STORE_FAILED, "temporary failure of the mailbox"
        if self._log.detailed:
            again = ", where it was already" if stored.duplicate else ""
            self._log.detail(
                f"{request.queue_id}: to=<{recipient.address}> is {stored.uid} in {mail.mailbox} of {found.value}"
                + again,
                queue_id=request.queue_id,
                recipient=recipient.address,
                account=found.value,
                mailbox=mail.mailbox,
                uid=stored.uid,
                source=found.source,
            )
        return Status.SENT, _DELIVERED, "delivered to mailbox"
