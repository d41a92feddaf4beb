"""A dry run of local(8): what an expansion reads is written down, and what we may not read is said and passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from angarium.agents.local.aliases import AskAlias, OwnedAlias
from angarium.agents.local.expansion import Failure, ListFile
from angarium.agents.local.parameters import LocalParameters
from angarium.agents.local.plan import Addressee
from angarium.agents.local.world import Ask, MachineWorld
from angarium.delivery.rights import Rights
from angarium.delivery.user import User
from angarium.model.lookup import NOT_FOUND, NotFound, TemporaryError
from angarium.runtime.log import ServiceLog

_SHOWN = 200
"""Characters of a value that are shown."""


class TrialWorld(MachineWorld):
    """``expansion.World`` of a dry run.

    Args:
        parameters: of main.cf.
        alias: asks alias_maps.
        rights: reads files.
        log: for warnings.
        seen: gets a line for each thing that was read.
        tables: see ``MachineWorld``.
    """

    def __init__(
        self,
        parameters: LocalParameters,
        alias: AskAlias,
        rights: Rights,
        log: ServiceLog,
        seen: list[str],
        tables: Mapping[str, Ask] | None = None,
    ) -> None:
        async def asked(name: str) -> OwnedAlias | NotFound | TemporaryError:
            found = await alias(name)
            if isinstance(found, OwnedAlias):
                owner = f", owned by uid {found.owner}" if found.owner else ""
                seen.append(f"alias {name}: {_short(found.value)} [{found.table}{owner}]")
            elif isinstance(found, TemporaryError):
                seen.append(f"alias {name}: {found.source}: {found.cause}")
            return found

        super().__init__(parameters, asked, rights, log, tables=tables)
        self._seen = seen

    async def forward(
        self, user: User, to: Addressee, without: Callable[[], None] | None = None
    ) -> ListFile | NotFound | TemporaryError:
        """The file, unless we may not look into that home."""
        found = await super().forward(user, to, without)
        if isinstance(found, ListFile):
            self._seen.append(f".forward of {user.name}: {_short(found.text)}")
        if isinstance(found, TemporaryError):
            self._seen.append(f".forward of {user.name}: cannot be read by this user ({found.cause})")
            return NOT_FOUND
        return found

    async def include(self, path: str, rights: User | None) -> ListFile | Failure | NotFound | TemporaryError:
        """The list."""
        found = await super().include(path, rights)
        if isinstance(found, ListFile):
            self._seen.append(f"list {path}: {_short(found.text)}")
        return found


def _short(text: str) -> str:
    """On one line, and not too long."""
    line = ", ".join(text.split("\n")).strip(", ")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
