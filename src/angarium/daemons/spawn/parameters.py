"""The parameters of main.cf that spawn(8) uses."""

from __future__ import annotations

from dataclasses import dataclass

from angarium.config.config import Config


@dataclass(frozen=True, slots=True)
class SpawnParameters:
    """Attributes are the parameters of the same names, times in seconds.

    ``most`` is how many commands may run at once (the process limit of master.cf; 0: as many as come), ``time_limit``
    the service's own.
    """

    queue_directory: str = "/var/spool/postfix"
    export_environment: tuple[str, ...] = ("TZ", "MAIL_CONFIG", "LANG")
    time_limit: float = 1000.0
    service_throttle_time: float = 60.0
    most: int = 100

    @classmethod
    def from_config(cls, conf: Config, service: str, process_limit: int | None) -> SpawnParameters:
        """Read them; ``process_limit`` is that of the line of master.cf."""
        return cls(
            queue_directory=conf.text("queue_directory"),
            export_environment=tuple(conf.names("export_environment")),
            time_limit=conf.seconds(f"{service}_time_limit"),
            service_throttle_time=conf.seconds("service_throttle_time"),
            most=conf.integer("default_process_limit") if process_limit is None else process_limit,
        )
