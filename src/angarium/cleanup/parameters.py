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
    local_header_rewrite_clients: tuple[str, ...] = ("permit_inet_interfaces",)
    smtpd_tls_received_header: bool = False
    smtpd_sasl_authenticated_header: bool = False
    own_addresses: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def from_config(cls, conf: Config) -> CleanupParameters:
        """Read them from main.cf."""

        def names(name: str) -> tuple[str, ...]:
            return tuple(conf.names(name))

        return cls(
            myhostname=conf.text("myhostname"),
            mail_name=conf.text("mail_name"),
            mynetworks=names("mynetworks"),
            recipient_delimiter=conf.text("recipient_delimiter"),
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
            always_add_missing_headers=conf.boolean("always_add_missing_headers"),
            local_header_rewrite_clients=names("local_header_rewrite_clients"),
            smtpd_tls_received_header=conf.boolean("smtpd_tls_received_header"),
            smtpd_sasl_authenticated_header=conf.boolean("smtpd_sasl_authenticated_header"),
            own_addresses=own_addresses(conf),
        )
