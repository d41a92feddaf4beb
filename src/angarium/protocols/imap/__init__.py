"""IMAP4rev1 on the server's side, without I/O: bytes in, events out; values in, bytes out.

``framing`` finds commands and literals, ``parser`` makes them frozen values (``types``), ``states`` says which command
is valid when, ``session`` joins the three, ``render`` writes what the server answers.

Specifications: RFC 3501 and RFC 9051 for the grammar; each extension is named where it is obeyed.
"""
