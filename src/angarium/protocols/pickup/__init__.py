"""How the sendmail command hands a message to pickup, over a local socket or in a file of the maildrop directory.

A submission is a row of records: one letter, the length of the payload in eight hexadecimal digits, the payload. The
first record is ``V``. Data records carry the message with CRLF line ends; ``Z`` ends it, and what lacks it was cut
off and counts for nothing. Over a socket pickup answers one line, an SMTP reply: ``250 2.0.0 QUEUE-ID``.
"""
