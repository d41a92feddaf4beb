"""atheris target: built table files. Run: python tests/fuzz/fuzz_table_files.py -atheris_runs=1000.

Berkeley DB (hash and btree), cdb and LMDB.

The input is laid over files that are right, at the place that its first bytes name, so that damage gets deep.
"""

from __future__ import annotations

import io
import sys
import tempfile

from angarium.tables.berkeley import open_berkeley
from angarium.tables.berkeley_build import build_btree, build_hash
from angarium.tables.builtfile import DamagedFileError, FileBytes
from angarium.tables.cdb import CdbFile, build_cdb
from angarium.tables.lmdb import LmdbFile, build_lmdb

ENTRIES = {b"key%d\0" % number: b"value" * (number % 400) for number in range(300)} | {b"k" * 500: b"v" * 9000}
FORMATS = ((build_hash, open_berkeley), (build_btree, open_berkeley), (build_cdb, CdbFile), (build_lmdb, LmdbFile))


def _built(number: int) -> bytes:
    out = io.BytesIO()
    FORMATS[number][0](out, ENTRIES)
    return out.getvalue()


FILES = [_built(number) for number in range(len(FORMATS))]


def one_input(data: bytes) -> None:
    """Nothing is raised but what says that the file is damaged."""
    if len(data) < 4:
        return
    number = data[0] % len(FORMATS)
    content = bytearray(FILES[number])
    at = int.from_bytes(data[1:4], "little") % len(content)
    content[at : at + len(data) - 4] = data[4:]
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            table = FORMATS[number][1](FileBytes(file.fileno()))
            for key in (b"key7\0", b"none", b"k" * 500):
                table.get(key)
            for _ in table.items():
                pass
        except DamagedFileError:
            pass


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
