"""The parameters of trivial-rewrite(8), read once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from angarium.config.config import Config
from angarium.config.derived import chosen_interfaces


def own_addresses(conf: Config) -> frozenset[str]:
    """The IP addresses that are ours: of ``inet_interfaces``, named or of the machine, and ``proxy_interfaces``."""
    named = [*conf.names("inet_interfaces"), *conf.names("proxy_interfaces")]
    literal = {word.strip("[]").lower() for word in named if word.strip("[]")[:1].isdigit() or ":" in word}
    chosen = chosen_interfaces(conf.text("inet_interfaces"), conf.text("inet_protocols"))
    return frozenset(literal | {str(interface.ip) for interface in chosen})


@dataclass(frozen=True, slots=True)
class RewriteParameters:
    """What rewriting and resolving need; each field is the parameter of that name in postconf(5).

    Lists hold the parameter's value split at commas and white space. ``own_addresses`` is not a parameter: the IP
    addresses of ``inet_interfaces`` and ``proxy_interfaces``, for ``user@[192.0.2.1]``.
    """

    myhostname: str
    mydomain: str
    myorigin: str
    mydestination: tuple[str, ...] = ()
    virtual_alias_domains: tuple[str, ...] = ()
    virtual_alias_maps: tuple[str, ...] = ()
    virtual_mailbox_domains: tuple[str, ...] = ()
    relay_domains: tuple[str, ...] = ()
    transport_maps: tuple[str, ...] = ()
    sender_dependent_relayhost_maps: tuple[str, ...] = ()
    sender_dependent_default_transport_maps: tuple[str, ...] = ()
    relayhost: str = ""
    local_transport: str = "local:$myhostname"
    virtual_transport: str = "virtual"
    relay_transport: str = "relay"
    default_transport: str = "smtp"
    recipient_delimiter: str = ""
    parent_domain_matches_subdomains: tuple[str, ...] = ()
    empty_address_recipient: str = "MAILER-DAEMON"
    append_at_myorigin: bool = True
    append_dot_mydomain: bool = False
    swap_bangpath: bool = True
    allow_percent_hack: bool = True
    show_user_unknown_table_name: bool = True
    relocated_maps: tuple[str, ...] = ()
    allow_min_user: bool = False
    allow_untrusted_routing: bool = False
    resolve_dequoted_address: bool = True
    resolve_null_domain: bool = False
    resolve_numeric_domain: bool = False
    empty_address_relayhost_maps_lookup_key: str = "<>"
    empty_address_default_transport_maps_lookup_key: str = "<>"
    own_addresses: frozenset[str] = field(default_factory=frozenset)

    def for_probes(self, conf: Config) -> RewriteParameters:
        """The same for address verification, whose probes may take a way of their own (``address_verify_…``)."""
        return replace(
            self,
            transport_maps=tuple(conf.names("address_verify_transport_maps")),
            sender_dependent_relayhost_maps=tuple(conf.names("address_verify_sender_dependent_relayhost_maps")),
            sender_dependent_default_transport_maps=tuple(
                conf.names("address_verify_sender_dependent_default_transport_maps")
            ),
            relayhost=conf.text("address_verify_relayhost"),
            local_transport=conf.text("address_verify_local_transport"),
            virtual_transport=conf.text("address_verify_virtual_transport"),
            relay_transport=conf.text("address_verify_relay_transport"),
            default_transport=conf.text("address_verify_default_transport"),
        )

    @classmethod
    def from_config(cls, conf: Config) -> RewriteParameters:
        """Read them from main.cf."""

        def names(name: str) -> tuple[str, ...]:
            return tuple(conf.names(name))

        return cls(
            myhostname=conf.text("myhostname"),
            mydomain=conf.text("mydomain"),
            myorigin=conf.text("myorigin"),
            mydestination=names("mydestination"),
            virtual_alias_domains=names("virtual_alias_domains"),
            virtual_alias_maps=names("virtual_alias_maps"),
            virtual_mailbox_domains=names("virtual_mailbox_domains"),
            relay_domains=names("relay_domains"),
            transport_maps=names("transport_maps"),
            sender_dependent_relayhost_maps=names("sender_dependent_relayhost_maps"),
            sender_dependent_default_transport_maps=names("sender_dependent_default_transport_maps"),
            relayhost=conf.text("relayhost"),
            local_transport=conf.text("local_transport"),
            virtual_transport=conf.text("virtual_transport"),
            relay_transport=conf.text("relay_transport"),
            default_transport=conf.text("default_transport"),
            recipient_delimiter=conf.delimiters(),
            parent_domain_matches_subdomains=names("parent_domain_matches_subdomains"),
            empty_address_recipient=conf.text("empty_address_recipient"),
            append_at_myorigin=conf.boolean("append_at_myorigin"),
            append_dot_mydomain=conf.boolean("append_dot_mydomain"),
            swap_bangpath=conf.boolean("swap_bangpath"),
            allow_percent_hack=conf.boolean("allow_percent_hack"),
            show_user_unknown_table_name=conf.boolean("show_user_unknown_table_name"),
            relocated_maps=names("relocated_maps"),
            allow_min_user=conf.boolean("allow_min_user"),
            allow_untrusted_routing=conf.boolean("allow_untrusted_routing"),
            resolve_dequoted_address=conf.boolean("resolve_dequoted_address"),
            resolve_null_domain=conf.boolean("resolve_null_domain"),
            resolve_numeric_domain=conf.boolean("resolve_numeric_domain"),
            empty_address_relayhost_maps_lookup_key=conf.text("empty_address_relayhost_maps_lookup_key"),
            empty_address_default_transport_maps_lookup_key=conf.text(
                "empty_address_default_transport_maps_lookup_key"
            ),
            own_addresses=own_addresses(conf),
        )
