"""POP3, the server's side, without I/O: bytes in, events out; replies in, bytes out (RFC 1939, RFC 2449)."""
