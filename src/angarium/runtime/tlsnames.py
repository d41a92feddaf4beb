"""``ServerNames``: a server's keys by the name that the client asks for (SNI, RFC 6066 section 3; tls_server_sni_maps).

The table is asked for the name, in lower case, then for its parent domains with a leading dot. Its value is base 64 of
PEM, as ``postmap -F`` makes it, or a list of PEM files. A name that is not there gets the service's own certificate.

Failures: a table that cannot be asked and a value that cannot be loaded end the handshake with an alert, and are told
through ``warn``; a client is not shown a certificate that the administrator did not mean for it.

Contexts are made when they are first asked for, and the last ``_KEPT`` of them kept. The callback runs inside of the
handshake, which cannot wait: a table that has to wait for another server counts as one that cannot be asked.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from dataclasses import replace

from angarium.model.lookup import Found, Lookup, TemporaryError
from angarium.runtime.tls import ServerTls, server_context
from angarium.runtime.tlschains import read_pem
from angarium.runtime.tlssettings import TlsError

_KEPT = 512
_NAME_LIMIT = 255
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class NamedSession(ssl.SSLObject):
    """A session that knows which name its client has asked for.

    Attributes:
        asked: the name, when it has keys of its own.
        unmatched: the name, when it has none.
        invalid: what cannot be a name.
    """

    asked: str = ""
    unmatched: str = ""
    invalid: str = ""


class ServerNames:
    """The names of one service.

    Args:
        parameters: what all its contexts have in common.
        find: asks tls_server_sni_maps for a key, without waiting.
        warn: takes what the administrator should know.
    """

    def __init__(self, parameters: ServerTls, find: Callable[[str], Lookup], warn: Callable[[str], None]) -> None:
        self._parameters = parameters
        self._find = find
        self._warn = warn
        self._contexts: dict[str, ssl.SSLContext] = {}

    def install(self, context: ssl.SSLContext) -> None:
        """Choose by name from now on."""
        context.sslobject_class = NamedSession
        context.sni_callback = self._choose  # type: ignore[assignment]  # it is handed the context's own class

    def _choose(self, session: NamedSession, name: str | None, _context: ssl.SSLContext) -> int | None:
        if not name:
            return None
        if not _valid(name):
            session.invalid = name
            return None
        match = self._match(name.lower())
        if isinstance(match, TemporaryError):
            self._warn(f'{match.source} lookup error for "{name}": {match.cause}')
            self._warn(f"tls_server_sni_maps: {name} map lookup problem")
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        if not isinstance(match, Found):
            session.unmatched = name
            return None
        try:
            session.context = self._context(match.value, f"SNI data for {name}")
        except TlsError as error:
            self._warn(str(error))
            self._warn(f"error loading private keys and certificates from: SNI data for {name}: aborting TLS handshake")
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        session.asked = name
        return None

    def _match(self, name: str) -> Lookup:
        key = name
        while True:
            match = self._find(key)
            if isinstance(match, Found | TemporaryError):
                return match
            dot = key.find(".", 1)
            if dot < 0:
                return match
            key = key[dot:]

    def _context(self, value: str, source: str) -> ssl.SSLContext:
        """Raises TlsError."""
        context = self._contexts.get(value)
        if context is None:
            chain = read_pem(value.replace(",", " ").split()) if value.startswith("/") else _decoded(value, source)
            parameters = replace(self._parameters, chain_text=chain, chain_source=source)
            if len(self._contexts) >= _KEPT:
                del self._contexts[next(iter(self._contexts))]
            context = self._contexts[value] = server_context(parameters)
        return context


def _decoded(value: str, source: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("latin-1")
    except (ValueError, binascii.Error):
        msg = f"{source}: malformed BASE64 value"
        raise TlsError(msg) from None


def _valid(name: str) -> bool:
    if len(name) > _NAME_LIMIT:
        return False
    return all(_LABEL.fullmatch(label) for label in name.split("."))
