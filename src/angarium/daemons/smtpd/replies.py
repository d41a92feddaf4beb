"""The fixed replies of smtpd, in Postfix's words: tools, and people, know them by heart.

Each is checked against the real program by ``tests/golden/smtpd``.
"""

from __future__ import annotations

import errno

from angarium.model.reply import Reply

OK = Reply.of(250, "2.0.0", "Ok")
SENDER_OK = Reply.of(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply.of(250, "2.1.5", "Ok")
START_DATA = Reply.of(354, None, "End data with <CR><LF>.<CR><LF>")
BYE = Reply.of(221, "2.0.0", "Bye")
BREAKS_RULES = Reply.of(221, "2.7.0", "Error: I can break rules, too. Goodbye.")
AUTHENTICATED = Reply.of(235, "2.7.0", "Authentication successful")
START_TLS = Reply.of(220, "2.0.0", "Ready to start TLS")

BAD_SYNTAX = Reply.of(500, "5.5.2", "Error: bad syntax")
BAD_UTF8 = Reply.of(500, "5.5.2", "Error: bad UTF-8 syntax")
UNKNOWN_COMMAND = Reply.of(500, "5.5.2", "Error: command not recognized")
NOT_IMPLEMENTED = Reply.of(502, "5.5.1", "Error: command not implemented")
NOT_AUTHORIZED = Reply.of(550, "5.7.0", "Error: insufficient authorization")
BDAT_NOT_OFFERED = Reply.of(521, "5.5.1", "Error: command not implemented")
SYNCHRONIZATION = Reply.of(554, "5.5.0", "Error: SMTP protocol synchronization")
MUST_DECLARE_SMTPUTF8 = Reply.of(553, "5.6.7", "Must declare SMTPUTF8 to send unicode address")
NEED_TLS = Reply.of(530, "5.7.0", "Must issue a STARTTLS command first")
NEED_HELO = Reply.of(503, "5.5.1", "Error: send HELO/EHLO first")
NEED_MAIL = Reply.of(503, "5.5.1", "Error: need MAIL command")
NEED_RCPT = Reply.of(503, "5.5.1", "Error: need RCPT command")
NO_RECIPIENTS = Reply.of(554, "5.5.1", "Error: no valid recipients")
NESTED_MAIL = Reply.of(503, "5.5.1", "Error: nested MAIL command")
MAIL_AFTER_BDAT = Reply.of(503, "5.5.1", "Error: MAIL after BDAT")
RCPT_AFTER_BDAT = Reply.of(503, "5.5.1", "Error: RCPT after BDAT")
DATA_AFTER_BDAT = Reply.of(503, "5.5.1", "Error: DATA after BDAT")
IN_TRANSACTION = Reply.of(503, "5.5.1", "Error: MAIL transaction in progress")

HELO_SYNTAX = Reply.of(501, None, "Syntax: HELO hostname")
EHLO_SYNTAX = Reply.of(501, None, "Syntax: EHLO hostname")
DATA_SYNTAX = Reply.of(501, "5.5.4", "Syntax: DATA")
RSET_SYNTAX = Reply.of(501, "5.5.4", "Syntax: RSET")
VRFY_SYNTAX = Reply.of(501, "5.5.4", "Syntax: VRFY address [SMTPUTF8]")
STARTTLS_SYNTAX = Reply.of(501, "5.5.4", "Syntax: STARTTLS")
AUTH_SYNTAX = Reply.of(501, "5.5.4", "Syntax: AUTH mechanism")

TOO_MANY_RECIPIENTS = Reply.of(452, "4.5.3", "Error: too many recipients")
TOO_BIG_DECLARED = Reply.of(552, "5.3.4", "Message size exceeds fixed limit")
TOO_BIG = Reply.of(552, "5.3.4", "Error: message file too big")
CHUNK_TOO_BIG = Reply.of(552, "5.3.4", "Chunk exceeds message size limit")
NO_SPACE = Reply.of(452, "4.3.1", "Insufficient system storage")
WRITE_ERROR = Reply.of(451, "4.3.0", "Error: queue file write error")
SERVER_ERROR = Reply.of(451, "4.3.0", "Error: internal server error")

VRFY_DISABLED = Reply.of(502, "5.5.1", "VRFY command is disabled")

AUTH_NOT_ENABLED = Reply.of(503, "5.5.1", "Error: authentication not enabled")
ALREADY_AUTHENTICATED = Reply.of(503, "5.5.1", "Error: already authenticated")
AUTH_TOO_LONG = Reply.of(500, "5.5.6", "SASL response limit exceeded")
AUTH_ABORTED = Reply.of(501, "5.7.0", "Authentication aborted")
TLS_ACTIVE = Reply.of(554, "5.5.1", "Error: TLS already active")
TLS_UNAVAILABLE = Reply.of(454, "4.7.0", "TLS not available due to local problem")


def storage_failure(error: OSError) -> Reply:
    """What the client hears of storage that failed: a full disk has a code of its own (RFC 3463 section 3.4)."""
    return NO_SPACE if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else WRITE_ERROR
