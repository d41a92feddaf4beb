"""The parameters of main.cf that local(8) uses here."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from angarium.agents.local.expansion import ExpansionRules
from angarium.config.config import Config
from angarium.delivery.mailboxfile import LockRules

CHARACTERS = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What may stand in a value that a sender may have chosen, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class LocalParameters:
    """Attributes are the parameters of the same names, times in seconds; ``rules`` and ``lock`` hold some of them.

    ``host`` is this machine's name, for the names of Maildir files.
    """

    queue_directory: str = "/var/spool/postfix"
    rules: ExpansionRules = field(default_factory=ExpansionRules)
    lock: LockRules = field(default_factory=LockRules)
    default_privs: str = "nobody"
    forward_path: tuple[str, ...] = (
        "$home/.forward${recipient_delimiter}${extension}",
        "$home/.forward",
    )
    forward_expansion_filter: str = CHARACTERS
    home_mailbox: str = ""
    mail_spool_directory: str = "/var/mail"
    mailbox_command: str = ""
    mailbox_size_limit: int = 51_200_000
    command_time_limit: float = 1000.0
    command_expansion_filter: str = CHARACTERS
    command_execution_directory: str = ""
    execution_directory_expansion_filter: str = CHARACTERS
    local_command_shell: str = ""
    export_environment: tuple[str, ...] = ("TZ", "MAIL_CONFIG", "LANG")
    prepend_delivered_header: frozenset[str] = frozenset({"command", "file", "forward"})
    enable_original_recipient: bool = True
    strict_mailbox_ownership: bool = True
    require_home_directory: bool = False
    host: str = field(default_factory=socket.gethostname)
    mailbox_transport: str = ""
    fallback_transport: str = ""

    @classmethod
    def from_config(cls, conf: Config, transport: str = "local") -> LocalParameters:
        """Read them."""
        return cls(
            queue_directory=conf.text("queue_directory"),
            rules=ExpansionRules(
                transport=transport,
                myhostname=conf.text("myhostname"),
                recipient_delimiter=conf.delimiters(),
                owner_request_special=conf.boolean("owner_request_special"),
                expand_owner_alias=conf.boolean("expand_owner_alias"),
                reset_owner_alias=conf.boolean("reset_owner_alias"),
                allow_mail_to_commands=frozenset(conf.names("allow_mail_to_commands")),
                allow_mail_to_files=frozenset(conf.names("allow_mail_to_files")),
                propagate_unmatched_extensions=frozenset(conf.names("propagate_unmatched_extensions")),
                luser_relay=conf.text("luser_relay"),
                frozen_delivered_to=conf.boolean("frozen_delivered_to"),
                line_length_limit=conf.integer("line_length_limit"),
                duplicate_filter_limit=conf.integer("duplicate_filter_limit"),
            ),
            lock=LockRules(
                methods=tuple(conf.names("mailbox_delivery_lock")),
                attempts=conf.integer("deliver_lock_attempts"),
                delay=conf.seconds("deliver_lock_delay"),
                stale=conf.seconds("stale_lock_time"),
            ),
            default_privs=conf.text("default_privs"),
            forward_path=tuple(conf.text("forward_path").replace(",", " ").split()),
            forward_expansion_filter=conf.text("forward_expansion_filter"),
            home_mailbox=conf.text("home_mailbox"),
            mail_spool_directory=conf.text("mail_spool_directory"),
            mailbox_command=conf.text("mailbox_command"),
            mailbox_size_limit=conf.size("mailbox_size_limit"),
            command_time_limit=conf.seconds("command_time_limit"),
            command_expansion_filter=conf.text("command_expansion_filter"),
            command_execution_directory=conf.text("command_execution_directory"),
            execution_directory_expansion_filter=conf.text("execution_directory_expansion_filter"),
            local_command_shell=conf.text("local_command_shell"),
            export_environment=tuple(conf.names("export_environment")),
            prepend_delivered_header=frozenset(conf.names("prepend_delivered_header")),
            enable_original_recipient=conf.boolean("enable_original_recipient"),
            strict_mailbox_ownership=conf.boolean("strict_mailbox_ownership"),
            require_home_directory=conf.boolean("require_home_directory"),
            mailbox_transport=conf.text("mailbox_transport"),
            fallback_transport=conf.text("fallback_transport"),
        )
