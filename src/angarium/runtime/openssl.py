"""What OpenSSL can do and Python's ``ssl`` module does not pass on, reached through ctypes on the module's own objects.

Five things: a server that asks for a certificate takes one that nobody has vouched for, and says afterwards what
OpenSSL thought of it; the list of key exchange groups; the list of authorities that a server names to its clients; how
long a chain may be; and how a session's keys were agreed on and signed. ADR 0031 has the reasons and what was turned
down.

Guarantees: nothing is reached into before the layout of the interpreter's objects has been checked (``reach``). Where
it is not one that is known, ``reach`` returns None, and the callers do without and say so. The functions are
OpenSSL's documented ones, found in the very library that the ``ssl`` module uses.
"""

from __future__ import annotations

import ctypes
import importlib
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

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
        self._set_timeout = library.SSL_CTX_set_timeout
        self._set_timeout.argtypes, self._set_timeout.restype = (pointer, ctypes.c_long), ctypes.c_long
        self._control = library.SSL_CTX_ctrl
        self._control.argtypes = (pointer, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
        self._control.restype = ctypes.c_long
        self._load_names = library.SSL_load_client_CA_file
        self._load_names.argtypes, self._load_names.restype = (ctypes.c_char_p,), pointer
        self._set_names = library.SSL_CTX_set_client_CA_list
        self._set_names.argtypes, self._set_names.restype = (pointer, pointer), None
        self._clear_errors = library.ERR_clear_error
        self._clear_errors.argtypes, self._clear_errors.restype = (), None
        try:
            self._keys: _Keys | None = _Keys(library)
        except AttributeError:  # OpenSSL before 3.0 calls them otherwise
            self._keys = None

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

    def details(self, tls: ssl.SSLObject) -> str:
        """How TLS 1.3 agreed on its keys, as Postfix words it; empty for older versions, which say it in the cipher.

        `` key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256``, and the same of the client
        when it has signed.
        """
        if tls.version() != "TLSv1.3" or self._keys is None:
            return ""
        session = _word(_inner(tls), 1)
        own, other = ("server", "client") if tls.server_side else ("client", "server")
        resumed = bool(tls.session_reused)
        signatures = {
            own: self._keys.own_signature(session, resumed=resumed),
            other: self._keys.peer_signature(session, resumed=resumed),
        }
        words = [self._keys.exchange(session)]
        for side in ("server", "client"):
            signature, digest = signatures[side]
            if signature:
                words.append(f" {side}-signature {signature}" + (f" {side}-digest {digest}" if digest else ""))
        return "".join(words)

    def limit_depth(self, context: ssl.SSLContext, depth: int) -> None:
        """Bound the length of chains as Postfix does: one more between the peer's own and the root than ``depth``."""
        self._set_depth(_word(context, 0), depth + 1)

    def limit_sessions(self, context: ssl.SSLContext, seconds: int) -> None:
        """How long a session may be taken up again, and the ticket for it is good."""
        self._set_timeout(_word(context, 0), seconds)

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


_GET_PEER_SIGNATURE, _GET_PEER_KEY, _GET_SIGNATURE = 108, 109, 132
_RSA, _DH, _EC, _PSS = 6, 28, 408, 912
"""Numbers of kinds of keys (NID)."""


class _Keys:
    """The keys of a session of TLS 1.3, in words."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, integer = ctypes.c_void_p, ctypes.c_int

        def function(name: str, result: type | None, *arguments: type) -> Callable[..., Any]:
            found = getattr(library, name)
            found.argtypes, found.restype = arguments, result
            return cast("Callable[..., Any]", found)

        self._control = function("SSL_ctrl", ctypes.c_long, pointer, integer, ctypes.c_long, pointer)
        self._free = function("EVP_PKEY_free", None, pointer)
        self._kind = function("EVP_PKEY_get_id", integer, pointer)
        self._bits = function("EVP_PKEY_get_bits", integer, pointer)
        self._type_name = function("EVP_PKEY_get0_type_name", ctypes.c_char_p, pointer)
        self._group = function("EVP_PKEY_get_group_name", integer, pointer, ctypes.c_char_p, ctypes.c_size_t, pointer)
        self._short_name = function("OBJ_nid2sn", ctypes.c_char_p, integer)
        self._own_certificate = function("SSL_get_certificate", pointer, pointer)
        self._peer_certificate = function("SSL_get0_peer_certificate", pointer, pointer)
        self._key_of = function("X509_get0_pubkey", pointer, pointer)
        self._own_type = function("SSL_get_signature_type_nid", integer, pointer, pointer)
        self._peer_type = function("SSL_get_peer_signature_type_nid", integer, pointer, pointer)

    def exchange(self, session: int) -> str:
        """`` key-exchange X25519``."""
        key = ctypes.c_void_p()
        if not self._control(session, _GET_PEER_KEY, 0, ctypes.byref(key)):
            return ""
        try:
            words = {_EC: "ECDHE", _DH: "DHE"}
            return f" key-exchange {self._describe(key, words)}"
        finally:
            self._free(key)

    def own_signature(self, session: int, *, resumed: bool) -> tuple[str, str]:
        """With which kind of key we have signed, and over which digest; empty texts when we have not.

        In a resumed session nobody signs anew: there is no digest, and the key is that of the first.
        """
        return self._signature(session, self._own_certificate, self._own_type, _GET_SIGNATURE, resumed=resumed)

    def peer_signature(self, session: int, *, resumed: bool) -> tuple[str, str]:
        """The same of the other end."""
        return self._signature(session, self._peer_certificate, self._peer_type, _GET_PEER_SIGNATURE, resumed=resumed)

    def _signature(
        self,
        session: int,
        certificate_of: Callable[..., Any],
        type_of: Callable[..., Any],
        digest_control: int,
        *,
        resumed: bool,
    ) -> tuple[str, str]:
        kind, digest = ctypes.c_int(), ctypes.c_int()
        signed = type_of(session, ctypes.byref(kind))
        certificate = certificate_of(session)
        key = self._key_of(certificate) if certificate else None
        if not key or not (signed or resumed):
            return "", ""
        self._control(session, digest_control, 0, ctypes.byref(digest))
        words = {_EC: "ECDSA", _RSA: "RSA-PSS" if kind.value == _PSS else "RSA"}
        return self._describe(key, words), self._name(digest.value) if digest.value else ""

    def _describe(self, key: object, words: Mapping[int, str]) -> str:
        kind = self._kind(key)
        word = words.get(kind)
        if word is None:
            return self._name(kind) if kind > 0 else _text(self._type_name(key))
        if kind == _EC:
            return f"{word} ({self._group_name(key)})"
        return f"{word} ({self._bits(key)} bits)"

    def _group_name(self, key: object) -> str:
        name = ctypes.create_string_buffer(80)
        size = ctypes.c_size_t()
        return _text(name.value) if self._group(key, name, len(name), ctypes.byref(size)) else "unknown"

    def _name(self, number: int) -> str:
        return _text(self._short_name(number))


def _text(words: bytes | None) -> str:
    return (words or b"unknown").decode("ascii", "replace")


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
