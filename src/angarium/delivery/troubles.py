"""Why a delivery to a file or a command did not happen, as a value that can cross from the child to its parent."""

from __future__ import annotations

import errno
import os

from angarium.model.content import ContentLostError
from angarium.model.dsn import Dsn


class DeliveryError(Exception):
    """A delivery that failed.

    Attributes:
        dsn: the class says whether it is tried again.
        text: for the log and the report.
        cause: what the log alone says beside it, in one line or more; may be empty.
        output: what the report shows as ``x-unix``; may be empty.
    """

    def __init__(self, dsn: Dsn, text: str, cause: str = "", output: str = "") -> None:
        super().__init__(f"{dsn} {text}")
        self.dsn = dsn
        self.text = text
        self.cause = cause
        self.output = output


_PASSING = frozenset({errno.EAGAIN, errno.ESTALE, errno.EINTR})
_FULL = frozenset({errno.EFBIG, errno.EDQUOT})


def storage_error(error: OSError, what: str, otherwise: Dsn, output: str = "") -> DeliveryError:
    """The failure of a mailbox: full for good, the disk full for now, else ``otherwise``; or of the message itself."""
    if isinstance(error, ContentLostError):
        return DeliveryError(Dsn(4, 3, 0), "error reading message: Input/output error", str(error), output)
    number = error.errno or errno.EIO
    if number in _PASSING:
        dsn = Dsn(4, 2, 0)
    elif number == errno.ENOSPC:
        dsn = Dsn(4, 3, 0)
    elif number in _FULL:
        dsn = Dsn(5, 2, 2)
    else:
        dsn = otherwise
    return DeliveryError(dsn, f"{what}: {os.strerror(number)}", output=output)
