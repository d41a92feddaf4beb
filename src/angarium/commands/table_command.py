"""What postmap(1) and postalias(1) have in common: asking, listing, changing and building lookup tables.

A ``Job`` is what the command line asks for. Problems go to standard error and to the mail log. The texts are Postfix's.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from angarium.commands.command import Command, CommandError
from angarium.model.lookup import Found, TemporaryError
from angarium.tables.build import (
    BUILDERS,
    Builder,
    built_path,
    changed_in_place,
    opened,
    read_entries,
    write_file,
    writing,
)
from angarium.tables.built import BOTH, KINDS, BuiltTable
from angarium.tables.builtfile import BuiltFile, DamagedFileError
from angarium.tables.files import FileTable
from angarium.tables.interface import Table
from angarium.tables.keys import fold_ascii, fold_unicode, is_utf8, keep, printable
from angarium.tables.opener import TableOpener
from angarium.tables.simple import FailTable, InlineTable
from angarium.tables.text import SPACE, logical_lines

WRITABLE_ELSEWHERE = ("environ", "static")
"""Types that open for writing and only then have no way to delete."""

Split = Callable[[str], tuple[str, str]]
"""Takes an entry apart. Raises ValueError."""


class _Additions(dict[bytes, bytes]):
    """Entries that come to those of a file; what the file has counts as there."""

    def __init__(self, known: BuiltFile) -> None:
        super().__init__()
        self._known = known

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (isinstance(key, bytes) and self._known.get(key) is not None)


@dataclass(slots=True)
class Job:
    """What a command line asks for.

    Attributes:
        split: takes an entry of the source apart.
        warns_of_colons: an entry that looks like one of aliases(5) is worth a warning.
        show: renders key and value.
        extra: entries that each built file has beside those of its source.
        query: the key of ``-q``; ``-`` for standard input.
        delete: the key of ``-d``; ``-`` for standard input.
        list_all: ``-s``.
        incremental: ``-i``.
        replace: ``-r``.
        ignore: ``-w``.
        folds: not ``-f``.
        utf8: not ``-u``, and ``smtputf8_enable``.
        ending: what ``-n`` and ``-N`` want behind keys and values; None: what the type has.
        as_owner: not ``-o``: write as the owner of the source.
        source_mode: not ``-p``: a new file has the permissions of its source.
        values_are_files: ``-F``.
        tables: ``[type:]name`` …
    """

    split: Split
    warns_of_colons: bool
    show: Callable[[str, str], str]
    extra: Callable[[], dict[bytes, bytes]] = dict
    query: str | None = None
    delete: str | None = None
    list_all: bool = False
    incremental: bool = False
    replace: bool = False
    ignore: bool = False
    folds: bool = True
    utf8: bool = True
    ending: bytes | None = None
    as_owner: bool = True
    source_mode: bool = True
    values_are_files: bool = False
    tables: Sequence[str] = field(default_factory=tuple)


def standard_input() -> BinaryIO:
    """Standard input, as bytes."""
    return sys.stdin.buffer


def key_lines(data: bytes) -> Iterator[str]:
    """The lines of standard input; what follows a NUL is not seen."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        yield line.partition(b"\0")[0].decode("utf-8", "surrogateescape")


class TableCommand:
    """One run of a command. Its methods raise CommandError and give the exit status."""

    def __init__(self, command: Command, job: Job) -> None:
        self._command = command
        self._job = job
        self._default = command.config.text("default_database_type")
        self._opener = TableOpener(
            command.warn,
            base=Path(),
            parameter=lambda name: command.config.text(name) if command.config.setting(name) else None,
            utf8=job.utf8,
            strict=True,
            default_type=self._default,
            folds=job.folds,
        )
        self._fold = keep if not job.folds else fold_unicode if job.utf8 else fold_ascii
        self._found = False

    def run(self) -> int:
        """Do the job."""
        job = self._job
        if job.delete is not None:
            return self._delete(job.delete)
        if job.query is not None:
            keys = key_lines(standard_input().read()) if job.query == "-" else iter((job.query,))
            return self.ask(keys, alone=job.query != "-")
        if job.list_all:
            return self._list(job.tables[0])
        for name in job.tables:
            self._build(name)
        return 0

    def ask(self, keys: Iterable[str], *, alone: bool) -> int:
        """-q: print what the first table that has it holds for each key; ``alone`` without the key."""
        import asyncio  # late: postmap builds a table 13 ms of CPU sooner without

        asyncio.run(self._ask(keys, alone=alone))
        return 0 if self._found else 1

    async def _ask(self, keys: Iterable[str], *, alone: bool) -> None:
        tables: dict[str, Table] = {}
        try:
            for key in keys:
                for name in self._job.tables:
                    if name not in tables:
                        tables[name] = self._open(name)
                    value = await self._lookup(tables[name], key)
                    if value is not None:
                        self._found = True
                        write(f"{value}\n" if alone else self._job.show(key, value))
                        break
        finally:
            for table in tables.values():
                close = getattr(table, "close", None)
                if close is not None:
                    await close()

    async def _lookup(self, table: Table, key: str) -> str | None:
        if not key and isinstance(table, (BuiltTable, FileTable)):
            return None
        if self._job.utf8 and not is_utf8(key):
            fault = "malformed UTF-8 or invalid codepoint"
            self._command.warn(f'{self._label(table)}: non-UTF-8 key "{printable(key)}": {fault}')
            return None
        answer = await table.lookup(key)
        if isinstance(answer, TemporaryError):
            self._fail_asking(table, answer)
        if not isinstance(answer, Found):
            return None
        if not answer.value:
            label = self._label(table)
            self._command.warn(f"table {label}: key {key}: empty string result is not allowed")
            self._command.warn(f"table {label} should return NO RESULT in case of NOT FOUND")
        return self._decoded(table, key, answer.value)

    def _fail_asking(self, table: Table, answer: TemporaryError) -> NoReturn:
        if isinstance(table, (BuiltTable, FileTable)) and answer.cause.startswith("open "):
            self._command.fail(answer.cause)
        if isinstance(table, BuiltTable):
            self._command.fail(f"table {self._label(table)}: query error")
        self._command.fail(f"table {table.name}: query error: Application error")

    def _decoded(self, table: Table, key: str, value: str) -> str:
        """-F: what a value stands for."""
        if not self._job.values_are_files:
            return value
        if isinstance(table, FileTable):
            return value
        try:
            return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
        except (ValueError, binascii.Error):
            label = self._label(table)
            self._command.warn(f"table {label}: key {key}: malformed BASE64 value: {value}")
            self._command.fail(f"table {label}: query error")

    def _kind(self, name: str) -> tuple[str, str]:
        kind, colon, argument = name.partition(":")
        return (kind, argument) if colon else (self._default, name)

    def _open(self, name: str) -> Table:
        kind, argument = self._kind(name)
        if self._job.values_are_files and kind == "texthash":
            job, warn = self._job, self._command.warn
            return FileTable(name, Path(argument), warn, utf8=job.utf8, fold=self._fold, content=_text_of)
        if kind in KINDS and self._job.ending is not None:
            return self._open_built(kind, argument, self._job.ending)
        try:
            return self._opener.make(name)
        except (ValueError, OSError) as error:
            self._command.fail(str(error))

    def _open_built(self, kind: str, argument: str, ending: bytes) -> Table:
        """With -n or -N: keys with the other ending are not there."""
        return BuiltTable(
            f"{kind}:{argument}",
            KINDS[kind],
            Path(argument),
            self._command.warn,
            utf8=self._job.utf8,
            fold=self._fold,
            strict=True,
            endings=(ending,),
        )

    def _label(self, table: Table) -> str:
        """What messages call a table."""
        return table.label if isinstance(table, BuiltTable) else ":".join(self._kind(table.name))

    def _list(self, name: str) -> int:
        """-s: print every entry of the first table."""
        kind, argument = self._kind(name)
        table = self._open(name)
        if isinstance(table, FailTable):
            self._command.fail(f"table {table.name}: sequence error: Application error")
        entries: Iterable[tuple[str, str]]
        if kind in BUILDERS:
            path = built_path(kind, Path(argument))
            if not path.exists():
                self._command.fail(f"open database {path}: {os.strerror(errno.ENOENT)}")
            if not BUILDERS[kind].listed:
                self._command.fail(f"table {self._label(table)}: sequence operation is not supported")
            raw = self._read(kind, path)
            entries = ((_shown(key), _shown(value)) for key, value in raw.items())
        elif isinstance(table, (FileTable, InlineTable)):
            entries = table.items()
        else:
            self._command.fail(f"table {table.name}: sequence operation is not supported")
        for key, value in entries:
            if not key:
                self._command.warn(f"table {kind}:{argument}: empty lookup key value is not allowed")
            write(self._job.show(key, self._decoded(table, key, value)))
        return 0

    def _read(self, kind: str, path: Path, *, locked: bool = False) -> dict[bytes, bytes]:
        with self._problems(path):
            return read_entries(kind, path, locked=locked)

    @contextlib.contextmanager
    def _problems(self, path: Path) -> Iterator[None]:
        """Ends the program with what is wrong with a built file."""
        try:
            yield
        except OSError as error:
            self._command.fail(f"open database {path}: {error.strerror}")
        except DamagedFileError as error:
            self._command.fail(f"open database {path}: {error}")

    def _delete(self, key: str) -> int:
        """-d: remove one entry, or those of standard input, from each table."""
        keys = list(key_lines(standard_input().read())) if key == "-" else [key]
        found = False
        for name in self._job.tables:
            kind, argument = self._kind(name)
            path = self._updatable(kind, argument, name)
            with writing(kind, path):
                found = self._delete_from(kind, path, keys) or found
        return 0 if found else 1

    def _delete_from(self, kind: str, path: Path, keys: Sequence[str]) -> bool:
        """Remove entries from one table, which is locked; whether there were any."""
        stored = [self._fold(each).encode("utf-8", "surrogateescape") for each in keys]
        endings = BOTH if self._job.ending is None else (self._job.ending,)
        wanted = [data + ending for data in stored for ending in endings]
        with self._problems(path), opened(kind, path) as file:
            gone: dict[bytes, bytes | None] = {key: None for key in wanted if key and file.get(key) is not None}
        if not gone:
            return False
        with self._problems(path):
            if changed_in_place(kind, path, gone):
                return True
        entries = self._read(kind, path, locked=True)
        for key in gone:
            entries.pop(key, None)
        self._write(kind, path, entries)
        return True

    def _updatable(self, kind: str, argument: str, name: str) -> Path:
        builder = BUILDERS.get(kind)
        if builder is None:
            if kind not in self._opener.types:
                self._command.fail(f"unsupported dictionary type: {kind}")
            if kind == "fail":
                self._command.fail(f"table {name}: delete error: Application error")
            if kind in WRITABLE_ELSEWHERE:
                self._command.fail(f"table {name}: delete operation is not supported")
            self._command.fail(f"{name} map requires O_RDONLY access mode")
        if not builder.updates:
            self._command.fail(
                f"dict_{kind}_open: inappropriate open flags for {kind} database"
                " - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC"
            )
        return built_path(kind, Path(argument))

    def _build(self, name: str) -> None:
        """Make a table out of its source, or with -i add the entries of standard input."""
        kind, argument = self._kind(name)
        source = Path(argument)
        if kind in ("proxy", "proxywrite"):
            self._command.fail("can't create maps via the proxy service")
        if self._job.incremental:
            self._build_from(standard_input(), "stdin", name, None)
            return
        try:
            file = source.open("rb")
        except OSError as error:
            self._command.fail(f"open {argument}: {error.strerror}")
        with file:
            self._build_from(file, argument, name, os.fstat(file.fileno()))

    def _build_from(self, file: BinaryIO, label: str, name: str, status: os.stat_result | None) -> None:
        """Build a table out of an open file; ``status`` is that of its source, None with -i."""
        kind, argument = self._kind(name)
        builder = BUILDERS.get(kind)
        if builder is None:
            if kind not in self._opener.types:
                self._command.fail(f"unsupported dictionary type: {kind}")
            if kind == "fail":
                self._command.fail(f"table {name}: write error: Application error")
            self._command.fail(f"unsupported dictionary type: {kind} does not support bulk-mode creation.")
        if status is None:
            self._updatable(kind, argument, name)
        path = built_path(kind, Path(argument))
        with self._as_owner(status), writing(kind, path):
            table = self._duplicates_in(kind, argument)
            entries: dict[bytes, bytes] = {}
            if status is None and path.exists():
                with self._problems(path), opened(kind, path) as known:
                    entries = _Additions(known)
                    self._collect(file, label, builder, table, entries)
                    entries.update(self._job.extra())
                    if changed_in_place(kind, path, entries):
                        return
                entries = self._read(kind, path, locked=True) | entries
            else:
                self._collect(file, label, builder, table, entries)
                entries.update(self._job.extra())
            mode = 0o644
            if self._job.source_mode and status is not None:
                mode = 0o600 | status.st_mode & 0o044
            self._write(kind, path, entries, mode)

    @staticmethod
    def _duplicates_in(kind: str, argument: str) -> str:
        """What messages about duplicate entries call the table."""
        builder = BUILDERS[kind]
        if not builder.duplicates:
            return argument
        return str(built_path(kind, Path(argument))) if builder.path_name else f"{kind}:{argument}"

    @contextlib.contextmanager
    def _as_owner(self, status: os.stat_result | None) -> Iterator[None]:
        """Root writes as the owner of the source, so that nobody's links lead it astray."""
        if status is None or not self._job.as_owner or os.geteuid() != 0:
            yield
            return
        os.setegid(status.st_gid)
        os.seteuid(status.st_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(os.getgid())

    def _collect(self, file: BinaryIO, label: str, builder: Builder, table: str, entries: dict[bytes, bytes]) -> None:
        """Add the entries of a source."""
        job = self._job
        ending = builder.ending if job.ending is None else job.ending
        warn = self._command.warn
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        for number, line in logical_lines(lines, lambda fault: warn(f"{label}: {fault}")):
            if job.utf8 and not is_utf8(line):
                warn(f'{label}, line {number}: non-UTF-8 input "{printable(line.rstrip(SPACE))}" -- ignoring this line')
                continue
            try:
                key, value = job.split(line)
            except ValueError as error:
                warn(f"{label}, line {number}: {error}")
                continue
            if job.warns_of_colons and key.endswith(":"):
                warn(f'{label}, line {number}: record is in "key: value" format; is this an alias file?')
            stored = self._fold(key).encode("utf-8", "surrogateescape") + ending
            if job.values_are_files:
                try:
                    content = base64.b64encode(_content(value))
                except OSError as error:
                    fault = f"open {error.filename}: {error.strerror}: skipping this entry"
                    warn(f"{label}, line {number}: {fault}")
                    continue
            else:
                content = value.encode("utf-8", "surrogateescape")
            if stored in entries and not job.replace:
                if not job.ignore:
                    shown = stored.removesuffix(b"\0").decode("utf-8", "surrogateescape")
                    warn(f'{table}: duplicate entry: "{shown}"')
                continue
            entries[stored] = content + ending

    def _write(self, kind: str, path: Path, entries: dict[bytes, bytes], mode: int = 0o644) -> None:
        try:
            write_file(kind, path, entries, mode)
        except OSError as error:
            self._command.fail(f"open database {path}: {error.strerror}")
        except (ValueError, OverflowError) as error:
            self._command.fail(f"error updating {kind}:{path}: {error}")


def _text_of(names: str) -> str:
    return _content(names).decode("utf-8", "surrogateescape")


def _content(names: str) -> bytes:
    """The content of files, with line ends between them. Raises OSError."""
    return b"\n".join(Path(name).read_bytes() for name in names.replace(",", " ").split())


def _shown(data: bytes) -> str:
    return data.removesuffix(b"\0").decode("utf-8", "surrogateescape")


def write(text: str) -> None:
    """Print text that may hold bytes that are not UTF-8."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def parse_options(name: str, argv: Sequence[str], allowed: str) -> tuple[list[tuple[str, str]], list[str]]:
    """getopt(3), with its complaints in its words.

    Raises:
        CommandError: the usage.
    """
    import getopt

    usage = f"usage: {name} [-{allowed.replace('c:', '').replace('d:', '').replace('q:', '')}]"
    usage += " [-c config_dir] [-d key] [-q key] [map_type:]file..."
    try:
        return getopt.getopt(list(argv), allowed)
    except getopt.GetoptError as error:
        what = "option requires an argument" if "requires argument" in error.msg else "invalid option"
        letter = "-" if error.msg.startswith("option --") else error.opt  # there are no long options
        print(f"{name}: {what} -- '{letter}'", file=sys.stderr)
        raise CommandError(usage) from error
