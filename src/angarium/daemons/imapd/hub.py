"""What this process knows of the mailboxes that its sessions have selected; one ``MailboxHub`` each.

All sessions of a mailbox share the hub: one query finds what changed, one snapshot holds it, and the difference is
rendered once for all who stood at the same place. A wake-up from the mailstore makes the hub look and then push to
those who idle; a session that asks (NOOP) makes it look too, so that a lost wake-up is healed.

Failures of the store while pushing are logged by the task's owner and leave the snapshot as it was; the next look
repairs it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from angarium.daemons.imapd.updates import Dialect, render_difference
from angarium.daemons.imapd.view import Difference, Snapshot, View
from angarium.mailstore.interface import (
    AccountStore,
    MailboxStatus,
    MailStore,
    MailstoreError,
    MessageState,
    NoSuchMailboxError,
)
from angarium.model.change import Change

RECORD_DELAY = 1.0
"""Seconds until what was told as recent is recorded; more that comes meanwhile is one write with it."""
IDLE_HUBS = 64
"""Hubs without sessions that are kept, so that the next SELECT is a small query."""
IDLE_MESSAGES = 200_000
"""Messages in all those together."""
_KEPT = 16
"""Places where sessions stood, for which what they have to hear is kept."""


class Listener(Protocol):
    """A session that has the mailbox selected."""

    def mailbox_changed(self) -> None:
        """The hub has a newer snapshot. Must not block."""
        ...


class MailboxHub:
    """The shared knowledge of one mailbox.

    Attributes:
        first_recent: messages from this UID on have been told to no read-write session, as far as we know.
    """

    def __init__(
        self,
        store: AccountStore,
        mailbox: int,
        report: Callable[[BaseException], None],
        recording: set[asyncio.Task[None]],
    ) -> None:
        self.store = store
        self.mailbox = mailbox
        self.latest = Snapshot.build((), 0)
        self.listeners: set[Listener] = set()
        self.first_recent = 1
        self._recorded = 1
        self._recording = recording
        self._record_timer: asyncio.TimerHandle | None = None
        self._loaded = False
        self._uidvalidity = 0
        self._announced = 0
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._report = report
        self._rendered: dict[tuple[int, Dialect], tuple[Snapshot, bytes]] = {}
        self._found: dict[int, tuple[Snapshot, Difference]] = {}

    async def load(self) -> MailboxStatus:
        """Make ``latest`` the state of now; the mailbox's numbers, which are not newer than it."""
        async with self._lock:
            status = await self.store.status(self.mailbox)
            if status.uidvalidity != self._uidvalidity:
                self._loaded = False  # another mailbox by now: an account was put back from a backup
                self.first_recent = self._recorded = 1
            self._recorded = max(self._recorded, status.first_recent)
            self.first_recent = max(self.first_recent, self._recorded)
            same = status.highestmodseq == self.latest.highestmodseq and status.messages == len(self.latest)
            if self._loaded and not same:
                await self._look()
            if not self._loaded:
                states = await self.store.states(self.mailbox)
                self._replace(Snapshot.build(states, status.highestmodseq))
                self._loaded = True
                self._uidvalidity = status.uidvalidity
        return status

    async def refresh(self) -> None:
        """Look into the store, and push what is new to those who idle."""
        async with self._lock:
            await self._look()

    @property
    def stale(self) -> bool:
        """A wake-up has told of more than ``latest`` has."""
        return self._announced > self.latest.highestmodseq

    def notify(self, modseq: int) -> None:
        """A wake-up: the mailbox has reached ``modseq``."""
        if modseq <= self._announced and modseq <= self.latest.highestmodseq:
            return
        self._announced = max(self._announced, modseq)
        if self.stale and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow())
            self._task.add_done_callback(self._followed)

    def absorb(self, states: Sequence[MessageState], view: View) -> bool:
        """Take over what a session's own STORE has changed, without asking the store; False when that is not safe.

        It is safe when the change is the very next one after what we know: modseqs are consecutive in a mailbox.
        """
        latest = self.latest
        highest = latest.highestmodseq + 1
        if not states:
            return True
        if any(state.modseq != highest for state in states):
            return False
        self._replace(latest.with_states(states, highest))
        if view.snapshot is latest:
            view.snapshot = self.latest
        else:
            view.snapshot = view.snapshot.with_states(states, view.snapshot.highestmodseq)
        return True

    async def claim_durably(self, end: int) -> int:
        """A read-write SELECT: messages below ``end`` are recent for this session alone, from the UID returned on.

        Nothing is written when none is recent. When it cannot be written they are recent again another time, as
        RFC 3501 section 2.3.2 has it for what a server cannot know.
        """
        first = self.first_recent
        if first >= end:
            return first
        self.first_recent = end
        try:
            first = max(first, await self.store.claim_recent(self.mailbox, end))
            self._recorded = max(self._recorded, end)
        except MailstoreError as error:
            self._report(error)
        return first

    def claim(self, end: int) -> int:
        """The same while the mailbox is selected: told at once, written a little later or when the session ends."""
        first = self.first_recent
        if first < end:
            self.first_recent = end
            if self._record_timer is None:
                self._record_timer = asyncio.get_running_loop().call_later(RECORD_DELAY, self.record)
        return first

    def record(self) -> None:
        """Write down what was claimed, if anything."""
        if self._record_timer is not None:
            self._record_timer.cancel()
            self._record_timer = None
        if self.first_recent > self._recorded:
            task = asyncio.get_running_loop().create_task(self._record(self.first_recent))
            self._recording.add(task)
            task.add_done_callback(self._recording.discard)

    async def _record(self, end: int) -> None:
        try:
            await self.store.claim_recent(self.mailbox, end)
        except NoSuchMailboxError:
            pass  # deleted meanwhile, and its mark with it
        except MailstoreError as error:
            self._report(error)
        else:
            self._recorded = max(self._recorded, end)

    def render(self, old: Snapshot, found: Difference, new: Snapshot, dialect: Dialect) -> bytes:
        """The untagged responses for a difference; shared by all who went from ``old`` to the newest."""
        if new is not self.latest:
            return render_difference(old, found, new, dialect)
        key = (id(old), dialect)
        kept = self._rendered.get(key)
        if kept is not None and kept[0] is old:
            return kept[1]
        data = render_difference(old, found, new, dialect)
        if len(self._rendered) < _KEPT:
            self._rendered[key] = (old, data)
        return data

    def difference(self, view: View, *, expunge: bool) -> tuple[Snapshot, Difference]:
        """Advance a view to the newest snapshot; looked for once for all who stood at the same place."""
        old, latest = view.snapshot, self.latest
        if expunge:
            kept = self._found.get(id(old))
            if kept is not None and kept[0] is old:
                view.reach(latest)
                return latest, kept[1]
        new, found = view.advance(latest, expunge=expunge)
        if new is latest and len(self._found) < _KEPT:
            self._found[id(old)] = (old, found)
        return new, found

    def close(self) -> None:
        """Stop following."""
        if self._record_timer is not None:
            self._record_timer.cancel()
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        try:
            changes = await self.store.changes(self.mailbox, self.latest.highestmodseq)
        except NoSuchMailboxError:
            self._replace(Snapshot.build((), self.latest.highestmodseq))  # deleted: all its messages are gone
            return
        if changes.states or changes.vanished or changes.highestmodseq > self.latest.highestmodseq:
            self._replace(self.latest.after(changes))

    def _replace(self, snapshot: Snapshot) -> None:
        self.latest = snapshot
        self._announced = max(self._announced, snapshot.highestmodseq)
        self._rendered.clear()
        self._found.clear()
        for listener in tuple(self.listeners):
            listener.mailbox_changed()

    async def _follow(self) -> None:
        while True:
            announced = self._announced
            await self.refresh()
            if not self.stale or announced == self._announced:
                break
        self._announced = self.latest.highestmodseq

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(error)


class Hubs:
    """All hubs of a process, by account and mailbox. Those without sessions are kept for a while, within bounds.

    Args:
        mailstore: tells of changes, of the accounts that have a mailbox selected.
        report: is told of failures while following.
    """

    def __init__(self, mailstore: MailStore, report: Callable[[BaseException], None]) -> None:
        self._mailstore = mailstore
        self._hubs: dict[tuple[str, int], MailboxHub] = {}
        self._idle: OrderedDict[tuple[str, int], MailboxHub] = OrderedDict()
        self._subscriptions: dict[str, tuple[int, Callable[[], None]]] = {}
        self._report = report
        self._recording: set[asyncio.Task[None]] = set()

    def enter(self, store: AccountStore, mailbox: int, listener: Listener) -> MailboxHub:
        """The hub of a mailbox, with one more listener. The caller awaits ``load``."""
        key = (store.account, mailbox)
        hub = self._hubs.get(key)
        if hub is None:
            hub = self._hubs[key] = MailboxHub(store, mailbox, self._report, self._recording)
        self._idle.pop(key, None)
        if not hub.listeners:
            self._subscribe(store.account)
        hub.listeners.add(listener)
        return hub

    def leave(self, hub: MailboxHub, listener: Listener) -> None:
        """One listener less."""
        if listener not in hub.listeners:
            return
        hub.listeners.discard(listener)
        hub.record()
        if hub.listeners:
            return
        self._unsubscribe(hub.store.account)
        key = (hub.store.account, hub.mailbox)
        if self._hubs.get(key) is not hub:
            return
        self._idle[key] = hub
        self._idle.move_to_end(key)
        held = sum(len(idle.latest) for idle in self._idle.values())
        while self._idle and (len(self._idle) > IDLE_HUBS or held > IDLE_MESSAGES):
            oldest, dropped = self._idle.popitem(last=False)
            held -= len(dropped.latest)
            del self._hubs[oldest]
            dropped.close()

    def forget(self, account: str, mailbox: int) -> None:
        """The mailbox was deleted: no later SELECT may find this hub."""
        key = (account, mailbox)
        self._idle.pop(key, None)
        self._hubs.pop(key, None)

    def in_use(self) -> list[MailboxHub]:
        """Hubs with sessions, for the slow round that heals lost wake-ups."""
        return [hub for hub in self._hubs.values() if hub.listeners]

    def statistics(self) -> dict[str, int]:
        """How much is held."""
        messages = sum(len(hub.latest) for hub in self._hubs.values())
        return {"hubs": len(self._hubs), "idle_hubs": len(self._idle), "messages": messages}

    def close(self) -> None:
        """Stop following everywhere."""
        for hub in self._hubs.values():
            hub.close()
        for task in tuple(self._recording):
            task.cancel()
        for _count, end in self._subscriptions.values():
            end()
        self._subscriptions.clear()

    def _subscribe(self, account: str) -> None:
        count, end = self._subscriptions.get(account) or (0, self._mailstore.subscribe(account, self._changed))
        self._subscriptions[account] = (count + 1, end)

    def _unsubscribe(self, account: str) -> None:
        count, end = self._subscriptions.pop(account, (0, None))
        if count > 1 and end is not None:
            self._subscriptions[account] = (count - 1, end)
        elif end is not None:
            end()

    def _changed(self, change: Change) -> None:
        hub = self._hubs.get((change.account, change.mailbox))
        if hub is not None and hub.listeners:
            hub.notify(change.modseq)
