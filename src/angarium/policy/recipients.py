"""Whether an address of ours exists: the validation of ADDRESS_CLASS_README, one set of tables a class.

An address that a virtual alias or canonical table knows exists in every class. The default class takes everything.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from angarium.model.address import Address
from angarium.model.dsn import Dsn
from angarium.model.lookup import NotFound, TemporaryError
from angarium.model.verdict import Verdict
from angarium.policy.evaluation import Evaluation, Subject
from angarium.policy.parameters import PolicyParameters
from angarium.policy.probesender import is_probe_sender
from angarium.rewrite.interface import AddressClass
from angarium.tables.maps import AddressMatch, Maps, find_address
from angarium.tables.opener import TableOpener

_ALWAYS_LOCAL = frozenset({"postmaster", "mailer-daemon", "double-bounce"})


class RecipientTables:
    """The tables that know our addresses."""

    def __init__(
        self, parameters: PolicyParameters, opener: TableOpener, is_own: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._parameters = parameters
        self._is_own = is_own
        rewriting = (
            ("recipient_canonical_maps", parameters.recipient_canonical_maps),
            ("canonical_maps", parameters.canonical_maps),
            ("virtual_alias_maps", parameters.virtual_alias_maps),
        )
        self._virtual = Maps.open("virtual_alias_maps", parameters.virtual_alias_maps, opener)
        self._aliases = [Maps.open(name, tables, opener) for name, tables in rewriting if tables]
        classes = {
            AddressClass.LOCAL: ("local_recipient_maps", parameters.local_recipient_maps),
            AddressClass.VIRTUAL_MAILBOX: ("virtual_mailbox_maps", parameters.virtual_mailbox_maps),
            AddressClass.RELAY: ("relay_recipient_maps", parameters.relay_recipient_maps),
        }
        self._maps = {key: Maps.open(name, tables, opener) for key, (name, tables) in classes.items()}
        self._unknown = {
            AddressClass.LOCAL: ("local recipient table", parameters.unknown_local_recipient_reject_code),
            AddressClass.VIRTUAL_ALIAS: ("virtual alias table", parameters.unknown_virtual_alias_reject_code),
            AddressClass.VIRTUAL_MAILBOX: ("virtual mailbox table", parameters.unknown_virtual_mailbox_reject_code),
            AddressClass.RELAY: ("relay recipient table", parameters.unknown_relay_recipient_reject_code),
        }

    async def alias(self, address: str) -> bool | TemporaryError:
        """Whether the address becomes another: by canonical_maps, recipient_canonical_maps or a virtual alias."""
        for maps in self._aliases:
            match = await find_address(maps, address, self._parameters.recipient_delimiter, self._is_own)
            if isinstance(match, TemporaryError):
                return match
            if not isinstance(match, NotFound):
                return True
        return False

    async def account(self, address: str) -> tuple[str, bool]:
        """The account of an address: what virtual_mailbox_maps names, or the address without its extension.

        Returns:
            the account, and whether the maps know the address (always so without maps).
        """
        delimiters = self._parameters.recipient_delimiter
        maps = self._maps[AddressClass.VIRTUAL_MAILBOX]
        match = await find_address(maps, address, delimiters, self._is_own)
        known = isinstance(match, AddressMatch)
        if isinstance(match, AddressMatch) and "@" in match.found.value and "/" not in match.found.value:
            return match.found.value.lower(), True
        parts = Address.split(address)
        return Address(parts.extension(delimiters)[0], parts.domain).folded, known or not maps

    async def destinations(self, address: str) -> tuple[str, ...]:
        """What the address stands for, one step of virtual_alias_maps; nothing when it is no alias, or unknown."""
        match = await find_address(self._virtual, address, self._parameters.recipient_delimiter, self._is_own)
        if not isinstance(match, AddressMatch):
            return ()
        return tuple(each for each in match.found.value.replace(",", " ").lower().split() if each)

    def _is_always_local(self, local: str) -> bool:
        parameters = self._parameters
        ttl = parameters.address_verify_sender_ttl
        if local.lower() in _ALWAYS_LOCAL:
            return True
        return ttl > 0 and is_probe_sender(local, parameters.address_verify_sender, ttl, time.time())

    async def check(self, evaluation: Evaluation, address: str, *, verb: str) -> Verdict | None:
        """A refusal for an address of ours that does not exist, None for all others."""
        if not self._parameters.unknown_recipient_checks:
            return None
        way = await evaluation.resolve(address)
        if isinstance(way, TemporaryError):
            return evaluation.try_later(way, address)
        aliased = await self.alias(way.recipient)
        if isinstance(aliased, TemporaryError):
            return evaluation.try_later(aliased, address)
        if aliased:
            return None
        kind = way.address_class
        if way.transport in ("error", "retry") and kind is not AddressClass.VIRTUAL_ALIAS:
            return _error_transport(evaluation, way.transport, way.nexthop, f"{verb}: {way.reason}", way.source)
        if kind is AddressClass.DEFAULT:
            return None
        if kind is not AddressClass.VIRTUAL_ALIAS:
            maps = self._maps[kind]
            if not maps:
                return None
            if kind is AddressClass.LOCAL and self._is_always_local(way.recipient.rpartition("@")[0]):
                return None
            match = await find_address(maps, way.recipient, self._parameters.recipient_delimiter, self._is_own)
            if isinstance(match, TemporaryError):
                return evaluation.try_later(match, address)
            if not isinstance(match, NotFound):
                return None
        table, code = self._unknown[kind]
        why = f"User unknown in {table}" if self._parameters.show_user_unknown_table_name else "User unknown"
        dsn = "5.1.0" if evaluation.subject is Subject.SENDER and kind is not AddressClass.VIRTUAL_ALIAS else "5.1.1"
        return evaluation.rejected(code, dsn, why, f"{verb}: {address} is not in the {table}", way.source)


def _error_transport(evaluation: Evaluation, transport: str, argument: str, reason: str, source: str) -> Verdict:
    """``error:5.7.1 text`` is a rejection in the session already, ``retry:4.3.2 text`` a deferral."""
    dsn, text = Dsn.split(argument)
    if transport == "error":
        return evaluation.rejected(550, str(dsn or "5.1.1"), text or "Address is undeliverable", reason, source)
    return evaluation.rejected(450, str(dsn or "4.1.1"), text or "Address is undeliverable", reason, source)
