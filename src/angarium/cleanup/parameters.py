"""The parameters of cleanup(8), read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from angarium.config.config import Config
from angarium.rewrite.parameters import own_addresses


@dataclass(frozen=True, slots=True)
class CleanupParameters:
    """What cleanup needs; each field is the parameter of that name in postconf(5).

    ``own_addresses`` is not a parameter: the IP addresses of ``inet_interfaces`` and ``proxy_interfaces``.
    """

    myhostname: str
    mail_name: str = "Postfix"
    mynetworks: tuple[str, ...] = ()
    recipient_delimiter: str = ""
    virtual_alias_maps: tuple[str, ...] = ()
    virtual_alias_expansion_limit: int = 1000
    virtual_alias_recursion_limit: int = 1000
    virtual_alias_address_length_limit: int = 1000
    propagate_unmatched_extensions: tuple[str, ...] = ("canonical", "virtual")
    duplicate_filter_limit: int = 1000
    hopcount_limit: int = 50
    header_size_limit: int = 102400
    message_drop_headers: tuple[str, ...] = ("bcc", "content-length", "resent-bcc", "return-path")
    undisclosed_recipients_header: str = ""
    always_add_missing_headers: bool = False
    header_from_format: str = "standard"
    full_name_encoding_charset: str = "utf-8"
    local_header_rewrite_clients: tuple[str, ...] = ("permit_inet_interfaces",)
    remote_header_rewrite_domain: str = ""
    canonical_maps: tuple[str, ...] = ()
    sender_canonical_maps: tuple[str, ...] = ()
    recipient_canonical_maps: tuple[str, ...] = ()
    canonical_classes: tuple[str, ...] = ("envelope_sender", "envelope_recipient", "header_sender", "header_recipient")
    sender_canonical_classes: tuple[str, ...] = ("envelope_sender", "header_sender")
    recipient_canonical_classes: tuple[str, ...] = ("envelope_recipient", "header_recipient")
    masquerade_domains: tuple[str, ...] = ()
    masquerade_exceptions: tuple[str, ...] = ()
    masquerade_classes: tuple[str, ...] = ("envelope_sender", "header_sender", "header_recipient")
    always_bcc: str = ""
    sender_bcc_maps: tuple[str, ...] = ()
    recipient_bcc_maps: tuple[str, ...] = ()
    enable_original_recipient: bool = True
    empty_address_recipient: str = "MAILER-DAEMON"
    header_checks: tuple[str, ...] = ()
    mime_header_checks: tuple[str, ...] = ()
    nested_header_checks: tuple[str, ...] = ()
    body_checks: tuple[str, ...] = ()
    body_checks_size_limit: int = 51200
    line_length_limit: int = 2048
    header_address_token_limit: int = 10240
    mime_nesting_limit: int = 100
    mime_boundary_length_limit: int = 2048
    disable_mime_input_processing: bool = False
    force_mime_input_conversion: bool = False
    detect_8bit_encoding_header: bool = True
    smtputf8_enable: bool = True
    smtputf8_autodetect_classes: tuple[str, ...] = ("sendmail", "verify")
    strict_7bit_headers: bool = False
    strict_8bitmime: bool = False
    strict_8bitmime_body: bool = False
    strict_mime_encoding_domain: bool = False
    cleanup_replace_stray_cr_lf: bool = True
    message_reject_characters: str = ""
    message_strip_characters: str = ""
    content_filter: str = ""
    receive_override_options: tuple[str, ...] = ()
    internal_mail_filter_classes: tuple[str, ...] = ()
    smtpd_hide_client_session: bool = False
    smtpd_tls_received_header: bool = False
    smtpd_sasl_authenticated_header: bool = False
    own_addresses: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def from_config(cls, conf: Config, service: Config | None = None) -> CleanupParameters:
        """Read them from main.cf.

        Args:
            conf: as the cleanup service sees it.
            service: as the service sees it that takes mail in (smtpd, pickup): what Postfix reads there is read from
                it. None: from ``conf`` too.
        """
        taker = service or conf

        def names(name: str) -> tuple[str, ...]:
            return tuple(conf.names(name))

        return cls(
            myhostname=taker.text("myhostname"),
            mail_name=taker.text("mail_name"),
            mynetworks=tuple(taker.names("mynetworks")),
            recipient_delimiter=conf.delimiters(),
            virtual_alias_maps=names("virtual_alias_maps"),
            virtual_alias_expansion_limit=conf.integer("virtual_alias_expansion_limit"),
            virtual_alias_recursion_limit=conf.integer("virtual_alias_recursion_limit"),
            virtual_alias_address_length_limit=conf.integer("virtual_alias_address_length_limit"),
            propagate_unmatched_extensions=names("propagate_unmatched_extensions"),
            duplicate_filter_limit=conf.integer("duplicate_filter_limit"),
            hopcount_limit=conf.integer("hopcount_limit"),
            header_size_limit=conf.integer("header_size_limit"),
            message_drop_headers=names("message_drop_headers"),
            undisclosed_recipients_header=conf.text("undisclosed_recipients_header"),
            header_from_format=conf.text("header_from_format"),
            full_name_encoding_charset=conf.text("full_name_encoding_charset"),
            always_add_missing_headers=conf.boolean("always_add_missing_headers"),
            local_header_rewrite_clients=tuple(taker.names("local_header_rewrite_clients")),
            remote_header_rewrite_domain=conf.text("remote_header_rewrite_domain"),
            canonical_maps=names("canonical_maps"),
            sender_canonical_maps=names("sender_canonical_maps"),
            recipient_canonical_maps=names("recipient_canonical_maps"),
            canonical_classes=names("canonical_classes"),
            sender_canonical_classes=names("sender_canonical_classes"),
            recipient_canonical_classes=names("recipient_canonical_classes"),
            masquerade_domains=names("masquerade_domains"),
            masquerade_exceptions=names("masquerade_exceptions"),
            masquerade_classes=names("masquerade_classes"),
            always_bcc=conf.text("always_bcc"),
            sender_bcc_maps=names("sender_bcc_maps"),
            recipient_bcc_maps=names("recipient_bcc_maps"),
            enable_original_recipient=conf.boolean("enable_original_recipient"),
            empty_address_recipient=conf.text("empty_address_recipient"),
            header_checks=names("header_checks"),
            mime_header_checks=names("mime_header_checks"),
            nested_header_checks=names("nested_header_checks"),
            body_checks=names("body_checks"),
            body_checks_size_limit=conf.size("body_checks_size_limit"),
            line_length_limit=conf.integer("line_length_limit"),
            header_address_token_limit=conf.integer("header_address_token_limit"),
            mime_nesting_limit=conf.integer("mime_nesting_limit"),
            mime_boundary_length_limit=conf.integer("mime_boundary_length_limit"),
            disable_mime_input_processing=conf.boolean("disable_mime_input_processing"),
            force_mime_input_conversion=conf.boolean("force_mime_input_conversion"),
            detect_8bit_encoding_header=conf.boolean("detect_8bit_encoding_header"),
            smtputf8_enable=conf.boolean("smtputf8_enable"),
            smtputf8_autodetect_classes=names("smtputf8_autodetect_classes"),
            strict_7bit_headers=conf.boolean("strict_7bit_headers"),
            strict_8bitmime=conf.boolean("strict_8bitmime"),
            strict_8bitmime_body=conf.boolean("strict_8bitmime_body"),
            strict_mime_encoding_domain=conf.boolean("strict_mime_encoding_domain"),
            cleanup_replace_stray_cr_lf=conf.boolean("cleanup_replace_stray_cr_lf"),
            message_reject_characters=conf.text("message_reject_characters"),
            message_strip_characters=conf.text("message_strip_characters"),
            content_filter=taker.text("content_filter"),
            receive_override_options=tuple(taker.names("receive_override_options")),
            internal_mail_filter_classes=names("internal_mail_filter_classes"),
            smtpd_hide_client_session=taker.boolean("smtpd_hide_client_session"),
            smtpd_tls_received_header=taker.boolean("smtpd_tls_received_header"),
            smtpd_sasl_authenticated_header=taker.boolean("smtpd_sasl_authenticated_header"),
            own_addresses=own_addresses(taker),
        )
