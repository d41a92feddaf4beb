"""Angarium: a whole mail server in one Python package.

The layers, top to bottom, are described in ``docs/architecture.md`` and checked by import-linter:
commands, master, daemons, agents, cleanup, policy, rewrite, mailqueue and mailstore, auth, tables, directory,
runtime, config, protocols, model. Each imports only from the ones below it.
"""

__version__ = "0.1.0"
