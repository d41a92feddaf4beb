"""IMAP for mail clients: imapd(8).

``connection`` owns the socket, ``commands/`` has one module a command or family, ``view`` is what a session believes
of its mailbox (pure), ``hub`` is what the process knows of it (shared between sessions), ``main`` wires a service.
"""
