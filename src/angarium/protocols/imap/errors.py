"""What is wrong with a client's command. The peer's errors and our own are different types."""

from __future__ import annotations


class ImapSyntaxError(Exception):
    """The command does not follow the grammar: it is answered with a tagged BAD and costs nothing else.

    The text is for the peer; it never repeats what the client sent.
    """
