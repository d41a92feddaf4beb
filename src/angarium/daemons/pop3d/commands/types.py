"""What a command's handler takes and answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from angarium.daemons.pop3d.conversation import Conversation
from angarium.protocols.pop3.types import Command

Answer = bytes | Coroutine[Any, Any, bytes]
Handler = Callable[[Conversation, Command], Answer]
