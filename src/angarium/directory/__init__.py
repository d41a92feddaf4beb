"""The directory: the domains, accounts, aliases, quotas and password hashes that this server keeps itself."""
