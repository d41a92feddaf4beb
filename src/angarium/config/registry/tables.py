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
        "Berkeley DB files are read without its library",
        minimum=0,
    ),
    Parameter(
        "berkeley_db_read_buffer_size",
        Type.SIZE,
        "131072",
        "",
        "tables",
        Status.NO_EFFECT,
        "Berkeley DB files are read without its library",
        minimum=0,
    ),
    Parameter(
        "default_database_type", Type.STRING, "hash", "", "tables", Status.NO_EFFECT, "tables are not built here yet"
    ),
    Parameter(
        "lmdb_map_size",
        Type.SIZE,
        "16777216",
        "",
        "tables",
        Status.UNSUPPORTED,
        "no LMDB file is written yet",
        minimum=0,
    ),
)
