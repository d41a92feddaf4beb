"""The client's side of LDAP (RFC 4511) without I/O: as much of it as looking things up needs."""
