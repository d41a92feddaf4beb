"""What a session did, for its last log line and for nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SessionStatistics:
    """Counters with the names that Dovecot's line has; times are the event loop's."""

    connected: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    deleted: int = 0
    expunged: int = 0
    trashed: int = 0
    hdr_count: int = 0
    hdr_bytes: int = 0
    body_count: int = 0
    body_bytes: int = 0
    auth_attempts: int = 0
    method: str = ""
    user: str = ""
    identified: int = 0

    def line(self) -> str:
        """``in=… out=… deleted=…``."""
        return (
            f"in={self.bytes_in} out={self.bytes_out} deleted={self.deleted} expunged={self.expunged} "
            f"trashed={self.trashed} hdr_count={self.hdr_count} hdr_bytes={self.hdr_bytes} "
            f"body_count={self.body_count} body_bytes={self.body_bytes}"
        )
