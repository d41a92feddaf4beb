"""SMTP without I/O: RFC 5321 and the extensions that the server and the client speak."""
