"""A server to try on loopback: its site (CA, configuration, accounts) and a trial of the whole path.

``scripts/run`` starts it. The system tests set their servers up with the same code.
"""
