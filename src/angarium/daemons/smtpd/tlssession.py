"""What an accepted TLS session is to smtpd(8): the log lines about it, and the client's certificate.

The lines are Postfix's: ``Anonymous``, ``Untrusted`` or ``Trusted TLS connection established from …``, with the name
that the client has asked for when it has keys of its own (tls_server_sni_maps); at smtpd_tls_loglevel 2 the
certificate's names and fingerprints.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from angarium.daemons.smtpd.client import Client
from angarium.daemons.smtpd.parameters import SmtpdParameters
from angarium.daemons.smtpd.wording import escape
from angarium.runtime.log import ServiceLog
from angarium.runtime.tls import TlsError, describe_session, shown_certificate
from angarium.runtime.tlsnames import NamedSession
from angarium.runtime.tlspeer import PeerCertificate


@dataclass(frozen=True, slots=True)
class TlsSession:
    """An established session.

    Attributes:
        description: protocol and cipher in words.
        resumed: it goes on from an earlier one.
        certificate: the client's, if it was asked for one and has shown one.
        remark: on the certificate, for the Received header; empty when none was asked for.
        refusal: why the session may not go on (smtpd_tls_req_ccert); empty when it may.
    """

    description: str
    resumed: bool = False
    certificate: PeerCertificate | None = None
    remark: str = ""
    refusal: str = ""


def accepted(tls: ssl.SSLObject, client: Client, parameters: SmtpdParameters, journal: ServiceLog) -> TlsSession:
    """Look at a session that was just established, and log it."""
    description = describe_session(tls)
    resumed = bool(tls.session_reused)
    name = _name(tls, client, journal)
    level = parameters.tls_loglevel
    if not parameters.tls_asks_certificate:
        if level > 0:
            journal.info(f"Anonymous TLS connection established from {client.shown}{name}: {description}")
        return TlsSession(description, resumed)
    certificate = _certificate(tls, client, parameters, journal)
    if level > 1 and certificate is not None:
        journal.info(
            f"{client.shown}: subject_CN={escape(certificate.subject)}, issuer={escape(certificate.issuer)}, "
            f"fingerprint={certificate.fingerprint}, pkey_fingerprint={certificate.key_fingerprint}"
        )
    refusal = ""
    if parameters.tls_requires_certificate and (certificate is None or not certificate.trusted):
        refusal = "No client certificate presented" if certificate is None else "Client certificate not trusted"
        if certificate is not None:
            journal.info(f"certificate verification failed for {client.shown}: {certificate.fault}")
    if level > 0:
        trust = "Anonymous" if certificate is None else "Trusted" if certificate.trusted else "Untrusted"
        journal.info(f"{trust} TLS connection established from {client.shown}{name}: {description}")
    if refusal:
        journal.info(f"NOQUEUE: abort: TLS from {client.shown}: {refusal}")
    return TlsSession(description, resumed, certificate, _remark(certificate), refusal)


def _name(tls: ssl.SSLObject, client: Client, journal: ServiceLog) -> str:
    """`` to NAME`` when the client has asked for a name that has keys; other names are told."""
    if not isinstance(tls, NamedSession):
        return ""
    if tls.invalid:
        journal.warning(f"TLS SNI from {client.shown} is invalid: {escape(tls.invalid)}")
    elif tls.unmatched:
        journal.info(f"TLS SNI {tls.unmatched} from {client.shown} not matched, using default chain")
    return f" to {tls.asked}" if tls.asked else ""


def _certificate(
    tls: ssl.SSLObject, client: Client, parameters: SmtpdParameters, journal: ServiceLog
) -> PeerCertificate | None:
    try:
        return shown_certificate(tls, parameters.tls_fingerprint_digest)
    except TlsError as error:
        journal.warning(f"{client.shown}: {error}")
        return PeerCertificate("", "", "", "", "unreadable")


def _remark(certificate: PeerCertificate | None) -> str:
    if certificate is None:
        return "Client did not present a certificate"
    trust = "verified OK" if certificate.trusted else "not verified"
    return f'Client CN "{certificate.subject}", Issuer "{certificate.issuer}" ({trust})'
