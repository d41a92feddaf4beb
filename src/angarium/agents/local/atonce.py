"""A user who is no alias and has no ``.forward`` gets his mail in the same visit that has found none.

Most mail is for such users, and a visit costs as much as what is done there: handing it to a thread with the user's
rights. Nothing of the expansion changes: for such a recipient the plan can have no other step than his mailbox.

Fails as ``World`` and the delivery do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from angarium.agents.local.expansion import Alias, Failure, ListFile
from angarium.agents.local.plan import Addressee, ToMailbox
from angarium.agents.local.world import MachineWorld
from angarium.delivery.rights import Work
from angarium.delivery.troubles import DeliveryError
from angarium.delivery.user import User
from angarium.model.lookup import NotFound, TemporaryError


class AtOnce:
    """``expansion.World`` for one recipient, who is delivered to as soon as it is clear that he is so plain.

    Args:
        world: of this machine.
        mailbox: makes the work of his mailbox, to be done with his rights.

    Attributes:
        step: what has been done; None as long as nothing has.
        outcome: what the work has returned, or its failure.
    """

    def __init__(self, world: MachineWorld, mailbox: Callable[[ToMailbox], Work]) -> None:
        self._world = world
        self._mailbox = mailbox
        self._plain = True
        self._users: dict[str, User] = {}
        self.step: ToMailbox | None = None
        self.outcome: Sequence[str] | DeliveryError = ()

    async def alias(self, name: str) -> Alias | Failure | NotFound | TemporaryError:
        """Ask alias_maps; who is found there is not plain."""
        found = await self._world.alias(name)
        self._plain = self._plain and isinstance(found, NotFound)
        return found

    async def user(self, name: str) -> User | NotFound | TemporaryError:
        """Ask the password file, once for each user: who was there stays there."""
        known = self._users.get(name)
        if known is not None:
            return known
        found = await self._world.user(name)
        if isinstance(found, User):
            self._users[name] = found
        return found

    async def transport(self, kind: str, to: Addressee) -> str | NotFound | TemporaryError:
        """Another transport in place of the mailbox: there is none, or this would not be used."""
        return await self._world.transport(kind, to)

    async def include(self, path: str, rights: User | None) -> ListFile | Failure | NotFound | TemporaryError:
        """A list."""
        return await self._world.include(path, rights)

    async def forward(self, user: User, to: Addressee) -> ListFile | NotFound | TemporaryError:
        """The user's ``.forward``; without one, his mailbox is written to."""
        if not self._plain:
            return await self._world.forward(user, to)
        self._plain = False
        step = ToMailbox(to, user)
        work = self._mailbox(step)

        def deliver() -> None:
            self.step = step
            try:
                self.outcome = work()
            except DeliveryError as error:
                self.outcome = error

        return await self._world.forward(user, to, deliver)
