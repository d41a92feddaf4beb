"""The parameters of main.cf that pipe(8) uses, and the attributes of its line of master.cf."""

from __future__ import annotations

from dataclasses import dataclass

from angarium.config.config import Config


@dataclass(frozen=True, slots=True)
class PipeParameters:
    """Attributes are the parameters of the same names; ``time_limit`` is the transport's, in seconds."""

    queue_directory: str = "/var/spool/postfix"
    recipient_delimiter: str = ""
    enable_original_recipient: bool = True
    export_environment: tuple[str, ...] = ("TZ", "MAIL_CONFIG", "LANG")
    time_limit: float = 1000.0

    @classmethod
    def from_config(cls, conf: Config, transport: str) -> PipeParameters:
        """Read them."""
        return cls(
            queue_directory=conf.text("queue_directory"),
            recipient_delimiter=conf.delimiters(),
            enable_original_recipient=conf.boolean("enable_original_recipient"),
            export_environment=tuple(conf.names("export_environment")),
            time_limit=conf.seconds(f"{transport}_time_limit"),
        )
