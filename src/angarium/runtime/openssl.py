"""What OpenSSL can do and Python's ``ssl`` module does not pass on, reached through ctypes on the module's own objects.

Four things: a server that asks for a certificate takes one that nobody has vouched for, and says afterwards what
OpenSSL thought of it; the list of key exchange groups; the list of authorities that a server names to its clients; and
how long a chain may be. ADR 0031 has the reasons and what was turned down.

Guarantees: nothing is reached into before the layout of the interpreter's objects has been checked (``reach``). Where
it is not one that is known, ``reach`` returns None, and the callers do without and say so. The functions are
OpenSSL's documented ones, found in the very library that the ``ssl`` module uses.
"""

from __future__ import annotations

import ctypes
import importlib
import ssl
import sys
from functools import lru_cache

_HEADER = object.__basicsize__
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_KNOWN = frozenset({(3, 11), (3, 12), (3, 13)})
"""Versions of CPython in which a context begins with its SSL_CTX, and an SSL object has its SSL and its context behind
one pointer."""

_VERIFY_PEER = 1
_VERIFY_CLIENT_ONCE = 4
_CTRL_SET_GROUPS_LIST = 92
_CHECKED = 0
"""X509_V_OK."""

_VerifyCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


def _go_on(_good: int, _store: int) -> int:
    """Called for each certificate that is found wanting, and for each that is not: the handshake goes on."""
    return 1


_GO_ON = _VerifyCallback(_go_on)
"""Kept for as long as the process lives, since OpenSSL holds its address."""


class OpenSsl:
    """The library behind ``ssl``. Made by ``reach``."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer = ctypes.c_void_p
        self._context_of = library.SSL_get_SSL_CTX
        self._context_of.argtypes, self._context_of.restype = (pointer,), pointer
        self._set_verify = library.SSL_CTX_set_verify
        self._set_verify.argtypes, self._set_verify.restype = (pointer, ctypes.c_int, pointer), None
        self._verify_result = library.SSL_get_verify_result
        self._verify_result.argtypes, self._verify_result.restype = (pointer,), ctypes.c_long
        self._error_string = library.X509_verify_cert_error_string
        self._error_string.argtypes, self._error_string.restype = (ctypes.c_long,), ctypes.c_char_p
        self._set_depth = library.SSL_CTX_set_verify_depth
        self._set_depth.argtypes, self._set_depth.restype = (pointer, ctypes.c_int), None
        self._control = library.SSL_CTX_ctrl
        self._control.argtypes = (pointer, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
        self._control.restype = ctypes.c_long
        self._load_names = library.SSL_load_client_CA_file
        self._load_names.argtypes, self._load_names.restype = (ctypes.c_char_p,), pointer
        self._set_names = library.SSL_CTX_set_client_CA_list
        self._set_names.argtypes, self._set_names.restype = (pointer, pointer), None
        self._clear_errors = library.ERR_clear_error
        self._clear_errors.argtypes, self._clear_errors.restype = (), None

    def agrees(self) -> bool:
        """The objects are laid out as expected: each pointer is found where two others say that it must be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inner = _inner(context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True))
        if type(inner).__basicsize__ < _HEADER + 3 * _POINTER or type(context).__basicsize__ < _HEADER + _POINTER:
            return False
        # The context's own address stands behind the SSL: only then is what stands before it believed to be one.
        if _word(inner, 2) != id(context) or not _word(inner, 1):
            return False
        return bool(self._context_of(_word(inner, 1)) == _word(context, 0))

    def accept_any_certificate(self, context: ssl.SSLContext) -> None:
        """Ask clients for a certificate, and go on whatever they show; ``fault`` says what is wrong with it."""
        self._set_verify(_word(context, 0), _VERIFY_PEER | _VERIFY_CLIENT_ONCE, _GO_ON)

    def fault(self, tls: ssl.SSLObject) -> str:
        """Why the peer's chain is not to be trusted, in OpenSSL's words; empty when it is, or when none was shown."""
        result = self._verify_result(_word(_inner(tls), 1))
        return "" if result == _CHECKED else self._error_string(result).decode("ascii", "replace")

    def limit_depth(self, context: ssl.SSLContext, depth: int) -> None:
        """Bound the length of chains as Postfix does: one more between the peer's own and the root than ``depth``."""
        self._set_depth(_word(context, 0), depth + 1)

    def set_groups(self, context: ssl.SSLContext, names: tuple[str, ...]) -> bool:
        """The groups for key exchange in order of preference; unknown names are skipped. False: none is known."""
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        known = [name for name in names if self._set_groups(probe, name)]
        return bool(known) and self._set_groups(context, ":".join(known))

    def _set_groups(self, context: ssl.SSLContext, text: str) -> bool:
        done = self._control(_word(context, 0), _CTRL_SET_GROUPS_LIST, 0, text.encode("ascii", "replace"))
        self._clear_errors()
        return bool(done)

    def name_authorities(self, context: ssl.SSLContext, ca_file: str) -> None:
        """Tell clients whose certificates are welcome: the subjects in a PEM file."""
        names = self._load_names(ca_file.encode())
        self._clear_errors()
        if names:
            self._set_names(_word(context, 0), names)  # the context owns the list from here on


def _inner(tls: ssl.SSLObject) -> object:
    """The object of the extension module that holds the SSL."""
    return tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way to it


def _word(thing: object, position: int) -> int:
    """A pointer-sized word of an object's own fields."""
    return ctypes.c_void_p.from_address(id(thing) + _HEADER + position * _POINTER).value or 0


@lru_cache(maxsize=1)
def reach() -> OpenSsl | None:
    """The library; None when this interpreter is not one whose objects are known."""
    version = sys.version_info[:2]
    if sys.implementation.name != "cpython" or version not in _KNOWN or _HEADER != 2 * _POINTER:
        return None
    try:
        file = getattr(importlib.import_module("_ssl"), "__file__", None)
        found = OpenSsl(ctypes.CDLL(file))
    except (OSError, AttributeError):
        return None
    return found if found.agrees() else None
