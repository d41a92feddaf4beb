"""The parameters of main.cf that the mailstore uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.model.quota import UNLIMITED, QuotaLimit, QuotaPlan, parse_grace, parse_rules, parse_thresholds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MailstoreParameters:
    """Attributes are the parameters of the same names, without ``mailstore_``.

    ``quota`` is what holds for an account of which the directory says nothing.
    """

    virtual_mailbox_base: Path
    open_accounts: int = 100
    idle_limit: float = 5.0
    body_file_threshold: int = 512 * 1024
    duplicate_lifetime: float = 10 * 86400.0
    writer_threads: int = 4
    quota: QuotaPlan = UNLIMITED

    @classmethod
    def from_config(cls, conf: Config) -> MailstoreParameters:
        """Read them. Raises ConfigError."""
        return cls(
            virtual_mailbox_base=Path(conf.text("virtual_mailbox_base")),
            open_accounts=conf.integer("mailstore_open_accounts"),
            idle_limit=conf.seconds("mailstore_idle_limit"),
            body_file_threshold=conf.size("mailstore_body_file_threshold"),
            duplicate_lifetime=conf.seconds("mailstore_duplicate_lifetime"),
            writer_threads=conf.integer("mailstore_writer_threads"),
            quota=QuotaPlan(
                QuotaLimit(conf.size("mailstore_bytes_limit"), conf.integer("mailstore_messages_limit")),
                mail=conf.size("mailstore_mail_limit"),
                grace=_read(conf, "mailstore_quota_grace", parse_grace),
                rules=_read(conf, "mailstore_quota_rules", parse_rules),
                warnings=_read(conf, "mailstore_quota_warnings", parse_thresholds),
            ),
        )


def _read(conf: Config, name: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(conf.text(name))
    except ValueError as error:
        raise ConfigError(f"invalid {name} value: {error}") from error
