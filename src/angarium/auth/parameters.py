"""The parameters of authentication, as main.cf gives them (``auth_*``)."""

from __future__ import annotations

from dataclasses import dataclass

from angarium.config.config import Config


@dataclass(frozen=True, slots=True)
class AuthParameters:
    """See the registry for their meaning.

    Attributes:
        default_domain: put behind a user name without a domain.
        cache_size: entries of the cache.
        cache_ttl: seconds that a success is remembered.
        cache_negative_ttl: seconds that a failure is remembered.
        hash_concurrency: passwords hashed at once by one process.
        queue_limit: log-ins that may wait for that; more are turned away for now.
    """

    default_domain: str = ""
    cache_size: int = 10_000
    cache_ttl: float = 3600.0
    cache_negative_ttl: float = 3600.0
    hash_concurrency: int = 2
    queue_limit: int = 1000

    @classmethod
    def from_config(cls, conf: Config) -> AuthParameters:
        """Read them. Raises ConfigError."""
        return cls(
            default_domain=conf.text("auth_default_domain"),
            cache_size=conf.integer("auth_cache_size"),
            cache_ttl=conf.seconds("auth_cache_ttl"),
            cache_negative_ttl=conf.seconds("auth_cache_negative_ttl"),
            hash_concurrency=conf.integer("auth_hash_concurrency"),
            queue_limit=conf.integer("auth_queue_limit"),
        )
