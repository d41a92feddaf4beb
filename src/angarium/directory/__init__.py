"""Domains, accounts, aliases, quotas and passwords in one small database."""
