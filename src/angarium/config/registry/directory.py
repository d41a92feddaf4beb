"""The directory: the accounts, aliases and passwords that this server keeps itself."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Type

PARAMETERS = (
    Parameter(
        "directory_database",
        Type.STRING,
        "$data_directory/directory.sqlite",
        "The database of domains, accounts, aliases, quotas and password hashes, which 'angarium domain|account|alias|"
        "quota' changes and which lookup tables of type 'directory:' and the authentication of all services read. A "
        "change is in force at once.",
        "directory",
        minimum=1,
        compatible=False,
    ),
)
