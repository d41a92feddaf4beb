"""Parameters of main.cf: tables."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter(
        "berkeley_db_create_buffer_size",
        Type.SIZE,
        "16777216",
        "",
        "tables",
        Status.NO_EFFECT,
        "Berkeley DB files are read and built without its library",
        minimum=0,
    ),
    Parameter(
        "berkeley_db_read_buffer_size",
        Type.SIZE,
        "131072",
        "",
        "tables",
        Status.NO_EFFECT,
        "Berkeley DB files are read and built without its library",
        minimum=0,
    ),
    Parameter(
        "default_database_type",
        Type.STRING,
        "hash",
        "The type of a table that is named without one, on the command lines of postmap and postalias and in main.cf.",
        "tables",
    ),
    Parameter(
        "lmdb_map_size",
        Type.SIZE,
        "16777216",
        "",
        "tables",
        Status.NO_EFFECT,
        "LMDB files are as large as they have to be",
        minimum=0,
    ),
)
