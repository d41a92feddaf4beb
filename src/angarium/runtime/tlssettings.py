"""What Postfix's tls_* parameters mean to OpenSSL: protocol lists, cipher grades, option names, curves.

Values in, values out; contexts are made of them in ``runtime.tls``. Names and strings are those of postconf(5).

Fails with ``TlsError``, whose text names the value; nothing is guessed.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class TlsError(Exception):
    """A TLS parameter or file that cannot be used; the text names it."""


class Configuration(Protocol):
    """What is read of ``config.Config``."""

    def text(self, name: str) -> str:
        """A parameter's expanded text."""
        ...

    def boolean(self, name: str) -> bool:
        """Yes or no."""
        ...

    def names(self, name: str) -> list[str]:
        """A list of words."""
        ...


OPTIONS: Mapping[str, int] = {
    "ENABLE_MIDDLEBOX_COMPAT": 1 << 20,
    "LEGACY_SERVER_CONNECT": 1 << 2,
    "NO_TICKET": 1 << 14,
    "NO_COMPRESSION": 1 << 17,
    "NO_RENEGOTIATION": 1 << 30,
    "NO_SESSION_RESUMPTION_ON_RENEGOTIATION": 1 << 16,
    "PRIORITIZE_CHACHA": 1 << 21,
}
"""tls_ssl_options: the names, and the bits that they have in OpenSSL 3."""

_WORKAROUNDS: Mapping[str, int] = {
    "CRYPTOPRO_TLSEXT_BUG": 1 << 31,
    "DONT_INSERT_EMPTY_FRAGMENTS": 1 << 11,
    "TLSEXT_PADDING": 1 << 4,
    "SAFARI_ECDHE_ECDSA_BUG": 1 << 6,
    "LEGACY_SERVER_CONNECT": 1 << 2,
    # The bugs of these are so old that OpenSSL 3 has no bit for them: to disable them changes nothing.
    "MICROSOFT_BIG_SSLV3_BUFFER": 0,
    "MICROSOFT_SESS_ID_BUG": 0,
    "MSIE_SSLV2_RSA_PADDING": 0,
    "CVE-2005-2969": 0,
    "NETSCAPE_CHALLENGE_BUG": 0,
    "NETSCAPE_REUSE_CIPHER_CHANGE_BUG": 0,
    "CVE-2010-4180": 0,
    "SSLEAY_080_CLIENT_DH_BUG": 0,
    "SSLREF2_REUSE_CERT_TYPE_BUG": 0,
    "TLS_BLOCK_PADDING_BUG": 0,
    "TLS_D5_BUG": 0,
    "TLS_ROLLBACK_BUG": 0,
}
ALL_WORKAROUNDS = 0x80000850
"""OpenSSL 3's SSL_OP_ALL."""

DEFAULT_CURVES = ("X25519", "X448", "prime256v1", "secp521r1", "secp384r1")
"""tls_eecdh_auto_curves as Postfix ships it: OpenSSL's own order then does as well, and knows newer groups."""

_HEX = re.compile(r"0x[0-9a-f]{1,16}", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,:]+")


@dataclass(frozen=True, slots=True)
class TlsLibrary:
    """The tls_* parameters that servers and clients share.

    Attributes:
        high: tls_high_cipherlist; ``medium``, ``low``, ``export`` and ``null`` likewise.
        curves: tls_eecdh_auto_curves; empty: OpenSSL's own.
        options: tls_ssl_options, as bits.
        workarounds: the bug work-arounds that tls_disable_workarounds leaves, as bits; None: Python's own choice.
        append_default_ca: trust the system's authorities beside the configured ones.
        many_labels: the ``*`` of a certificate stands for one or more labels.
        anonymous: the grades' anonymous ciphers may be used where nobody is to be identified.
    """

    high: str = "aNULL:-aNULL:HIGH:@STRENGTH"
    medium: str = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH"
    low: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH"
    export: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH"
    null: str = "eNULL:!aNULL"
    curves: tuple[str, ...] = ()
    options: int = 0
    workarounds: int | None = None
    append_default_ca: bool = False
    many_labels: bool = True
    anonymous: bool = False

    @classmethod
    def from_config(cls, conf: Configuration) -> TlsLibrary:
        """Read main.cf.

        Raises:
            TlsError: a word that is no option.
        """
        curves = tuple(conf.names("tls_eecdh_auto_curves"))
        return cls(
            high=conf.text("tls_high_cipherlist"),
            medium=conf.text("tls_medium_cipherlist"),
            low=conf.text("tls_low_cipherlist"),
            export=conf.text("tls_export_cipherlist"),
            null=conf.text("tls_null_cipherlist"),
            curves=() if curves == DEFAULT_CURVES else curves,
            options=option_bits("tls_ssl_options", conf.names("tls_ssl_options"), OPTIONS),
            workarounds=ALL_WORKAROUNDS
            & ~option_bits("tls_disable_workarounds", conf.names("tls_disable_workarounds"), _WORKAROUNDS),
            append_default_ca=conf.boolean("tls_append_default_CA"),
            many_labels=conf.boolean("tls_wildcard_matches_multiple_labels"),
            anonymous=True,
        )

    def ciphers(self, grade: str, exclude: Iterable[str], *, identified: bool) -> str:
        """OpenSSL's cipher string for a grade and its exclusions.

        OpenSSL's security level is lowered first, without which it refuses TLSv1 and short keys whatever else is set:
        opportunistic TLS is no worse than none. A list of the administrator's may raise it again.

        Args:
            grade: high, medium, low, export or null.
            exclude: names or classes of ciphers that are never used.
            identified: somebody's certificate is looked at, so that anonymous ciphers are out.

        Raises:
            TlsError: an unknown grade.
        """
        grades = {name: getattr(self, name) for name in ("high", "medium", "low", "export", "null")}
        base: str | None = grades.get(grade.lower())
        if base is None:
            msg = f"unknown TLS cipher grade {grade!r}"
            raise TlsError(msg)
        never = [name for name in exclude if name]
        if identified or not self.anonymous:
            never.append("aNULL")
        if grade.lower() != "null":
            never.append("eNULL")
        return "@SECLEVEL=0:" + base + "".join(f":!{name}" for name in never)


DEFAULT_LIBRARY = TlsLibrary()


def option_bits(parameter: str, words: Sequence[str], known: Mapping[str, int]) -> int:
    """The bits of a list of names, or of one hexadecimal mask.

    Raises:
        TlsError: a word that is neither.
    """
    bits = 0
    for word in words:
        if _HEX.fullmatch(word):
            bits |= int(word, 16)
        elif word.upper() in known:
            bits |= known[word.upper()]
        else:
            msg = f"unknown {parameter} value {word!r}"
            raise TlsError(msg)
    return bits


_VERSIONS: Mapping[str, ssl.TLSVersion | None] = {
    # None: OpenSSL 3 has no SSLv2 at all and Python forbids SSLv3, so that naming them changes nothing.
    "sslv2": None,
    "sslv3": None,
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.0": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
    "0300": None,
    "0301": ssl.TLSVersion.TLSv1,
    "0302": ssl.TLSVersion.TLSv1_1,
    "0303": ssl.TLSVersion.TLSv1_2,
    "0304": ssl.TLSVersion.TLSv1_3,
}
_ORDER = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def protocol_range(text: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The lowest and highest version that a protocol list of postconf(5) allows.

    Raises:
        TlsError: an unknown name, or a list that leaves no version or a gap in the middle.
    """
    allowed = set(_ORDER)
    named: set[ssl.TLSVersion] = set()
    positive = False
    for word in filter(None, _SEPARATORS.split(text)):
        operator = next((op for op in (">=", "<=", "!") if word.startswith(op)), "")
        name = word[len(operator) :].lower()
        if name not in _VERSIONS:
            msg = f"unknown TLS protocol {word!r} in {text!r}"
            raise TlsError(msg)
        version = _VERSIONS[name]
        if operator == "!":
            allowed.discard(version)
        elif operator == ">=":
            allowed = {v for v in allowed if version is None or v >= version}
        elif operator == "<=":
            allowed = {v for v in allowed if version is not None and v <= version}
        else:
            positive = True
            if version is not None:
                named.add(version)
    if positive:
        allowed &= named
    if not allowed:
        msg = f"no TLS protocol is left by {text!r}"
        raise TlsError(msg)
    low, high = min(allowed), max(allowed)
    if any(low < version < high and version not in allowed for version in _ORDER):
        msg = f"the TLS protocols of {text!r} have a gap, which OpenSSL cannot do"
        raise TlsError(msg)
    return low, high
