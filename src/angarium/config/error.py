"""The error of a configuration that cannot be used, with the file and the line that it stands in.

The text is worded as Postfix words it, so that what people know how to search for stays findable:
``/etc/postfix/main.cf, line 12: missing '=' after attribute name: "relayhost"``.
"""

from __future__ import annotations


class ConfigError(Exception):
    """A configuration cannot be used.

    Attributes:
        text: what is wrong, without the place.
        file: the path of the file it stands in; empty when it stands in none.
        line: the number of the line, from 1; 0 when unknown.
    """

    def __init__(self, text: str, file: str = "", line: int = 0) -> None:
        self.text = text
        self.file = file
        self.line = line
        super().__init__(f"{file}, line {line}: {text}" if file and line else f"{file}: {text}" if file else text)
