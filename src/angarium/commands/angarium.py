"""``angarium``: administer the domains, accounts, aliases and quotas that this server keeps itself.

    angarium [-c config_dir] domain  add|list|show|remove|set …
    angarium [-c config_dir] account add|list|show|remove|set|check …
    angarium [-c config_dir] alias   add|list|show|remove|set …
    angarium [-c config_dir] quota   set|list|show|remove …
    angarium [-c config_dir] queue   list|top|show|suspend|resume|bounce|delete|undelete …
    angarium [-c config_dir] check   [--severity error|warning|note]
    angarium [-c config_dir] explain --from A --to B --client IP [--helo H] [--sasl U] [--eml FILE]
    angarium [-c config_dir] trace   QUEUE-ID|MESSAGE-ID|ADDRESS [--since TIME]
    angarium [-c config_dir] init    [--hostname H] [--domain D] [--account A] [--system] [--force]

What a command changes is on stable storage when it ends, and in force at once. A password is read from standard input
(its first line), or asked for on a terminal; never from the command line, which everybody can read. ``--json`` prints
one JSON value instead of lines for people.

``angarium exim …`` and ``angarium exiqgrep …`` are those programs' views of the queue, and so is this program under the
name ``exim``, ``exim4`` or ``exiqgrep``. ``angarium postmulti …``, ``postkick``, ``postlock``, ``makemap`` and
``mailstats`` are those programs, too.

The exit status is one of sysexits.h: 0; 64 wrong usage; 65 a bad name, size, filter or password; 66 a message that is
not in the queue; 67 no such domain, account or alias; 69 a domain that is not empty; 73 it exists already; 75 the
database cannot be used now; 77 the password is wrong (``account check``), or no right to the queue; 78 the
configuration cannot be read.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from angarium.commands import (
    angarium_account,
    angarium_alias,
    angarium_check,
    angarium_domain,
    angarium_explain,
    angarium_init,
    angarium_queue,
    angarium_quota,
    angarium_trace,
)
from angarium.commands.angarium_output import Failure, print_result
from angarium.directory.interface import (
    DirectoryUnavailableError,
    DomainInUseError,
    EntryExistsError,
    InvalidNameError,
    NoSuchEntryError,
)

_NOUNS = (
    angarium_domain,
    angarium_account,
    angarium_alias,
    angarium_quota,
    angarium_queue,
    angarium_check,
    angarium_explain,
    angarium_trace,
    angarium_init,
)

_VIEWS = {
    "exim": "exim",
    "exim4": "exim",
    "exiqgrep": "exiqgrep",
    "mailstats": "mailstats",
    "makemap": "makemap",
    "postkick": "postkick",
    "postlock": "postlock",
    "postmulti": "postmulti",
}
"""Names of other programs, and the modules that are like them."""

_STATUS: dict[type[Exception], int] = {
    InvalidNameError: os.EX_DATAERR,
    NoSuchEntryError: os.EX_NOUSER,
    DomainInUseError: os.EX_UNAVAILABLE,
    EntryExistsError: os.EX_CANTCREAT,
    DirectoryUnavailableError: os.EX_TEMPFAIL,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def command_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="angarium", description="Administer the domains, accounts, aliases and quotas of this mail server."
    )
    parser.add_argument("-c", dest="configuration", metavar="config_dir", help="directory of main.cf (MAIL_CONFIG)")
    parser.add_argument("--database", type=Path, help="the database to use instead of $directory_database")
    nouns = parser.add_subparsers(
        dest="noun", required=True, metavar="domain|account|alias|quota|queue|check|explain|trace|init"
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    for noun in _NOUNS:
        noun.add_parsers(nouns, common)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = Path(sys.argv[0]).name if arguments is None else ""
    if name not in _VIEWS and words and words[0] in _VIEWS:
        name = words.pop(0)
    if name in _VIEWS:
        from importlib import import_module  # late: the other nouns need none of this

        return int(import_module(f"angarium.commands.{_VIEWS[name]}").main(words))
    options = command_parser().parse_args(words)
    if hasattr(options, "inspect"):
        return _inspect(options)
    try:
        path, options.mail = (options.database, None) if options.database else _configured(options.configuration)
        from angarium.directory.admin import SqliteDirectoryAdmin  # late: --help and wrong usage need no database

        admin = SqliteDirectoryAdmin(path)
        try:
            print_result(options.run(admin, options), as_json=options.json)
        finally:
            admin.close()
    except Failure as failure:
        print(f"angarium: {failure}", file=sys.stderr)
        return failure.status
    except tuple(_STATUS) as error:
        print(f"angarium: {error}", file=sys.stderr)
        return next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    """A noun that reads the configuration and no database."""
    from angarium.config.config import configuration_directory  # late, as above

    try:
        result, status = options.inspect(configuration_directory(options.configuration), options)
        print_result(result, as_json=options.json)
        sys.stdout.flush()
    except Failure as failure:
        print(f"angarium: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer has nowhere to go
        return os.EX_IOERR
    return int(status)


def _configured(directory: str | None) -> tuple[Path, Path | None]:
    """``$directory_database`` and ``$virtual_mailbox_base`` of the configuration that ``-c`` or MAIL_CONFIG names."""
    from angarium.config.config import Config, configuration_directory  # late, as above
    from angarium.config.error import ConfigError

    try:
        conf = Config.load(configuration_directory(directory))
        base = conf.text("virtual_mailbox_base")
        return Path(conf.text("directory_database")), Path(base) if base else None
    except ConfigError as error:
        raise Failure(os.EX_CONFIG, str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
