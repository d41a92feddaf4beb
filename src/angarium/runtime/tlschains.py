"""Private keys with their certificate chains: PEM in, loaded into a context.

Postfix's order (postconf(5) smtpd_tls_chain_files): a key, its certificate, the issuers behind it; then the next key,
for another algorithm, and so on, in one file or over several, as if they were one. The separate files of a key and its
certificate (smtpd_tls_cert_file, _eccert_file, _dcert_file) are the older form.

Python loads keys from files alone, so what came from a table is put into a file in memory that nobody else can open.

Fails with ``TlsError``, which names the file or the table's key, and never shows what is in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterable
from pathlib import Path

from angarium.runtime.heldfiles import open_descriptor, read_bytes
from angarium.runtime.tlssettings import TlsError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?", re.DOTALL)
_MOST = 1 << 20
"""Octets of PEM that are taken as chains; a key with its chain has a few thousand."""


def read_pem(files: Iterable[str]) -> str:
    """The files, one behind the other. Raises TlsError."""
    texts = []
    for name in files:
        try:
            texts.append(read_bytes(Path(name))[:_MOST].decode("latin-1"))
        except OSError as error:
            msg = f"cannot read TLS file {name}: {error.strerror}"
            raise TlsError(msg) from error
    return "\n".join(texts)


def load_chains(context: ssl.SSLContext, pem: str, source: str) -> None:
    """Load all keys with their chains.

    Args:
        context: takes them.
        pem: the text.
        source: where it comes from, for messages.

    Raises:
        TlsError: a key without certificate, a certificate before its key, or what OpenSSL does not like.
    """
    chains: list[list[str]] = []
    for match in _BLOCK.finditer(pem[:_MOST]):
        kind = match.group(1)
        if kind.endswith("PRIVATE KEY"):
            if chains and len(chains[-1]) == 1:
                raise TlsError(f"error loading chain from {source}: key at index {len(chains)} has no certificate")
            chains.append([match.group()])
        elif kind.endswith("CERTIFICATE"):
            if not chains:
                raise TlsError(f"error loading chain from {source}: key not first")
            chains[-1].append(match.group())
        elif kind not in _BESIDE:
            raise TlsError(f"error loading chain from {source}: unexpected PEM object {kind}")
    if not chains:
        raise TlsError(f"error loading chain from {source}: no private keys found")
    if len(chains[-1]) == 1:
        raise TlsError(f"error loading chain from {source}: the last key has no certificate")
    for chain in chains:
        _load_text(context, "\n".join(chain), source)


_BESIDE = frozenset({"EC PARAMETERS", "DSA PARAMETERS", "DH PARAMETERS"})
"""Blocks that tools put beside keys and that say nothing new."""


def load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Load a certificate with its chain, and its key from the same file or another. Raises TlsError."""
    both = f"{cert_file} and {key_file}" if key_file and key_file != cert_file else cert_file
    with contextlib.ExitStack() as opened:
        places = [""] * 2
        for number, name in enumerate((cert_file, key_file)):
            if not name:
                continue
            try:
                descriptor = open_descriptor(name)
            except OSError as error:
                msg = f"cannot read TLS file {name}: {error.strerror}"
                raise TlsError(msg) from error
            opened.callback(os.close, descriptor)
            places[number] = f"/proc/self/fd/{descriptor}"
        _load(context, places[0], places[1], f"cannot use TLS certificate and key {both}")


def _load_text(context: ssl.SSLContext, text: str, source: str) -> None:
    descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        data = text.encode("latin-1")
        while data:
            data = data[os.write(descriptor, data) :]
        _load(context, f"/proc/self/fd/{descriptor}", "", f"error loading chain from {source}")
    except OSError as error:
        raise TlsError(f"error loading chain from {source}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _load(context: ssl.SSLContext, cert_file: str, key_file: str, complaint: str) -> None:
    try:
        # A password callback that refuses: without it OpenSSL asks on the terminal.
        context.load_cert_chain(cert_file, key_file or None, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error) or "not a PEM certificate and key"
        msg = f"{complaint}: {str(reason).replace('_', ' ').lower()}"
        raise TlsError(msg) from error


def _no_password() -> str:
    msg = "the private key is encrypted"
    raise ValueError(msg)
