"""TLS to a database server, from the tls_ settings of mysql_table(5) and ldap_table(5)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What a table says of TLS.

    Attributes:
        ca_file: certificates that are trusted, in one file.
        ca_path: the same, in a directory.
        cert_file: our certificate.
        key_file: its key.
        ciphers: which to use, as OpenSSL writes it.
        verify_name: the certificate must be for the server's name.
        verify_chain: the certificate must be trusted, even if no CA is named; the system's are taken then.
    """

    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    ciphers: str = ""
    verify_name: bool = False
    verify_chain: bool = False

    @property
    def wanted(self) -> bool:
        """Some setting asks for TLS."""
        return bool(self.ca_file or self.ca_path or self.cert_file or self.key_file or self.ciphers or self.verify_name)


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """The context of these settings: a named CA is always checked, the server's name when that is asked for.

    Raises:
        OSError: a file cannot be used (ssl.SSLError is one).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.verify_name
    named = bool(tls.ca_file or tls.ca_path)
    if named:
        context.load_verify_locations(tls.ca_file or None, tls.ca_path or None)
    elif tls.verify_name or tls.verify_chain:
        context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file or None)
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    return context
