"""Password hashes: making them, and checking those that we made or that were imported.

New hashes are Argon2id with the parameters that OWASP recommends for a server that must not give its memory away:
19 MiB, two passes, one lane (21 ms on the reference machine; the library's default takes 64 MiB and 100 ms).
Imported ones are whatever the system's crypt(3) checks (``$6$``, ``$5$``, ``$2y$``, ``$y$``, ``$1$`` …), with or
without Dovecot's scheme in front (``{SHA512-CRYPT}$6$…``).

Guarantees: comparison in constant time; the lock of the interpreter is free while hashing. Hashing blocks for tens of
milliseconds, so daemons do it on a thread (``auth.authenticator``).

Fails with ``UnknownHashError`` for a string that is no hash, or one that this system cannot check.
"""

from __future__ import annotations

import base64
import ctypes
import hmac
import os
from typing import Any

MEMORY_KIB = 19456
PASSES = 2
LANES = 1
_HASH_BYTES = 32
_SALT_BYTES = 16
_CRYPT_SCHEMES = frozenset({"CRYPT", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "ARGON2ID", "ARGON2I"})
_CRYPT_DATA_BYTES = 32768  # sizeof(struct crypt_data) of libxcrypt; glibc's own is larger
_CRYPT_LONGEST = 511  # CRYPT_MAX_PASSPHRASE_SIZE - 1: of a longer password crypt(3) makes no hash
_CRYPT_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")


class UnknownHashError(ValueError):
    """Not a password hash that can be checked here. The text does not show it."""


def hash_password(password: str) -> str:
    """A new hash of ``password``, to be kept in the directory."""
    from argon2.low_level import Type, hash_secret  # late: 18 ms, which most commands need not spend

    salt = os.urandom(_SALT_BYTES)
    return hash_secret(password.encode(), salt, PASSES, MEMORY_KIB, LANES, _HASH_BYTES, Type.ID).decode()


def decoy_hash() -> str:
    """A hash that no password has: checking it takes as long as checking a real one."""
    salt = base64.b64encode(bytes(_SALT_BYTES)).decode().rstrip("=")
    digest = base64.b64encode(bytes(_HASH_BYTES)).decode().rstrip("=")
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${digest}"


def check_password(stored: str, password: str) -> bool:
    """Whether ``password`` has the hash ``stored``. Blocks while it computes. Raises UnknownHashError."""
    bare = _without_scheme(stored)
    if bare.startswith("$argon2"):
        return _check_argon2(bare, password)
    if bare.startswith("$"):
        return _check_crypt(bare, password)
    msg = "not a password hash"
    raise UnknownHashError(msg)


def is_hash(text: str) -> bool:
    """Whether ``text`` looks like a hash that ``check_password`` may take: for imports."""
    bare = _without_scheme(text)
    return bare.startswith("$") and bare.count("$") >= 3 and bare.isascii() and bare.isprintable() and " " not in bare


def _without_scheme(stored: str) -> str:
    if stored.startswith("{"):
        scheme, closed, rest = stored[1:].partition("}")
        if closed and scheme.upper() in _CRYPT_SCHEMES:
            return rest
    return stored


def _check_argon2(stored: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    kind = Type.ID if stored.startswith("$argon2id$") else Type.I
    try:
        return verify_secret(stored.encode(), password.encode(), kind)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError) as error:
        msg = "damaged Argon2 hash"
        raise UnknownHashError(msg) from error


def _check_crypt(stored: str, password: str) -> bool:
    try:
        phrase, setting = password.encode(), stored.encode("ascii")
    except UnicodeEncodeError as error:
        msg = "not a password hash"
        raise UnknownHashError(msg) from error
    data = ctypes.create_string_buffer(_CRYPT_DATA_BYTES)
    # A password that is too long to be right costs what a wrong one costs.
    computed: bytes | None = _libcrypt().crypt_rn(phrase[:_CRYPT_LONGEST], setting, data, _CRYPT_DATA_BYTES)
    if computed is None or computed.startswith(b"*"):
        msg = "a crypt(3) format that this system does not know"
        raise UnknownHashError(msg)
    return hmac.compare_digest(computed, setting) and len(phrase) <= _CRYPT_LONGEST


_library: Any = None  # loaded at the first imported hash; a process needs one


def _libcrypt() -> Any:
    """The system's libcrypt. Raises UnknownHashError when there is none with ``crypt_rn``."""
    global _library
    if _library is None:
        for name in _CRYPT_LIBRARIES:
            try:
                library = ctypes.CDLL(name)
                library.crypt_rn.restype = ctypes.c_char_p
                library.crypt_rn.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
            except (OSError, AttributeError):
                continue
            _library = library
            return library
        msg = "no libcrypt with crypt_rn on this system"
        raise UnknownHashError(msg)
    return _library
