"""SASL, the server's side, without I/O: mechanisms that turn a client's answers into credentials."""
