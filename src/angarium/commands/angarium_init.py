"""``angarium init``: the first configuration of a new server, and its first account.

    angarium init [--hostname H] [--domain D] [--account A] [--cert FILE --key FILE] [--aliases FILE] [--system]
                  [--root DIR] [--force] [--json]
    angarium init --system --keep [--root DIR] [--force] [--json]

What is not given is asked for on a terminal; elsewhere it is an error. The password of the account is the first line
of standard input, or asked for. Written are main.cf, master.cf, the aliases and their database, and without ``--cert``
a certificate of an authority of one's own; then the domain, the account, and aliases for postmaster, abuse and root.
The DNS records to publish are printed. ``postfix check`` finds nothing afterwards.

Nothing that is there is overwritten without ``--force``: when one file is, none is written. Domains and accounts stay
in any case. ``--system`` makes the user and the directories too, installs the unit of systemd, and takes
``/usr/sbin/sendmail``, ``mailq`` and ``newaliases`` by update-alternatives. With ``--keep`` it does that alone, for the
configuration that is there: a Postfix's that this server takes over, or one's own after an update. ``--root`` writes
below another root directory, for images; the files name each other as if it were ``/``.

Exit status: 0; 64 an answer is missing; 65 an answer or the password is bad; 73 files are there already; 77 no right;
71 a step of ``--system`` failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angarium.commands.angarium_output import Failure, Result, read_password

if TYPE_CHECKING:
    from angarium.commands.setup.answers import Answers
    from angarium.config.config import Config
    from angarium.directory.interface import DirectoryAdmin
    from angarium.master.privileges import Owner

_OWN_NAMES = ("postmaster", "abuse", "root")


def add_parsers(nouns: Any, common: argparse.ArgumentParser) -> None:
    """Add the parser of ``angarium init``."""
    init = nouns.add_parser("init", parents=[common], help="make the first configuration and account")
    init.add_argument("--hostname", metavar="name", help="this server's name: mail.example.com")
    init.add_argument("--domain", metavar="name", help="the domain that it receives mail for: example.com")
    init.add_argument("--account", metavar="address", help="the first account: you@example.com")
    init.add_argument("--cert", default="", metavar="file", help="the TLS certificate, with its chain, in PEM")
    init.add_argument("--key", default="", metavar="file", help="its key")
    init.add_argument("--aliases", default="/etc/aliases", metavar="file", help="where aliases go (/etc/aliases)")
    init.add_argument("--system", action="store_true", help="install as this system's mail server (Debian)")
    init.add_argument("--keep", action="store_true", help="with --system: the configuration that is there stays")
    init.add_argument("--root", type=Path, default=Path("/"), metavar="directory", help="write below another root")
    init.add_argument("--force", action="store_true", help="overwrite what is there")
    init.set_defaults(inspect=inspect)


def inspect(directory: Path, options: argparse.Namespace) -> tuple[Result, int]:
    """Make the server; what to print, and the exit status. Raises Failure."""
    from angarium.commands.setup.answers import AnswerError  # late, all of them: the other nouns need none of this
    from angarium.commands.setup.files import ExistingFilesError
    from angarium.commands.setup.system import InstallationError
    from angarium.config.error import ConfigError
    from angarium.directory.interface import DirectoryUnavailableError

    try:
        if options.keep:
            return _keeping(directory, options), 0
        return _Setup(_answers(options), directory, options).run(), 0
    except AnswerError as error:
        raise Failure(os.EX_DATAERR, str(error)) from error
    except ExistingFilesError as error:
        raise Failure(os.EX_CANTCREAT, f"there already, and left as it is (--force overwrites): {error}") from error
    except PermissionError as error:
        raise Failure(os.EX_NOPERM, f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise Failure(os.EX_CANTCREAT, f"{error.filename}: {error.strerror}") from error
    except InstallationError as error:
        raise Failure(os.EX_OSERR, str(error)) from error
    except (ConfigError, DirectoryUnavailableError) as error:
        raise Failure(os.EX_CONFIG, str(error)) from error


def _answers(options: argparse.Namespace) -> Answers:
    from angarium.commands.setup.answers import (
        Answers,
        check_account,
        check_certificate,
        check_name,
        likely_domain,
        likely_hostname,
    )
    from angarium.commands.setup.files import under

    def name(what: str) -> Callable[[str], str]:
        def check(text: str) -> str:
            folded = text.lower().removesuffix(".")
            check_name(what, folded)
            return folded

        return check

    def account_in_domain(text: str) -> str:
        return Answers(hostname, domain, check_account(text)).account

    hostname = _answer(options, "hostname", "Name of this server", name("host name"), likely_hostname)
    domain = _answer(options, "domain", "Domain to receive mail for", name("domain"), lambda: likely_domain(hostname))
    account = _answer(options, "account", "First account", account_in_domain, lambda: f"postmaster@{domain}")
    certificate, key = (str(Path(file).absolute()) if file else "" for file in (options.cert, options.key))
    answers = Answers(hostname, domain, account, certificate, key)
    if certificate and (options.root == Path("/") or under(options.root, certificate).exists()):
        check_certificate(under(options.root, certificate), under(options.root, key))
    return answers


def _answer(
    options: argparse.Namespace, option: str, question: str, check: Callable[[str], str], likely: Callable[[], str]
) -> str:
    """What was given, or else is answered on the terminal: there a bad answer is asked for again. Raises Failure."""
    from angarium.commands.setup.answers import AnswerError

    given: str | None = getattr(options, option)
    if given:
        return check(given)
    if not sys.stdin.isatty():
        raise Failure(os.EX_USAGE, f"--{option} is missing")
    usual = likely()
    shown = f" [{usual}]" if usual else ""
    while True:
        try:
            return check(input(f"{question}{shown}: ").strip() or usual)
        except AnswerError as error:
            print(error, file=sys.stderr)
        except EOFError:
            raise Failure(os.EX_USAGE, f"--{option} is missing") from None


def _keeping(directory: Path, options: argparse.Namespace) -> Result:
    """``--keep``: all that ``--system`` is beside the files of a configuration. Raises what ``inspect`` tells."""
    from angarium.commands.setup import system
    from angarium.commands.setup.files import refuse_existing, under, write
    from angarium.config.config import Config

    if not options.system or options.hostname or options.domain or options.account or options.cert or options.key:
        raise Failure(os.EX_USAGE, "--keep goes with --system, and asks for nothing")

    def steps() -> Iterator[str]:
        root = options.root
        conf = Config.load(under(root, directory.absolute()))
        system.refuse_foreign(root)
        files = system.unit_files(root)
        if not options.force:
            refuse_existing(files)
        write(files)
        yield from (f"{file.path}: written" for file in files)
        yield system.make_user(root, conf.text("mail_owner"))
        yield from _directories(conf, options)
        yield from system.take_sendmail(root)
        yield from system.take_help(root)

    done = list(steps())
    then = [
        "Then:",
        "    angarium check",
        "    newaliases",
        "    systemctl daemon-reload",
        "    systemctl enable angarium",
    ]
    return Result([*done, "", *then, "    systemctl restart angarium"], {"done": done})


def _owner(conf: Config, options: argparse.Namespace) -> Owner | None:
    """Whose the data are: below another root directory, a user of that. Raises ConfigError, InstallationError."""
    from angarium.commands.setup.system import user_of
    from angarium.master.privileges import mail_owner

    if options.root == Path("/"):
        return mail_owner(conf)
    return user_of(options.root, conf.text("mail_owner")) if options.system else None


def _directories(conf: Config, options: argparse.Namespace) -> Iterator[str]:
    """Make what the server writes to, as its start would."""
    from angarium.commands.setup.files import under
    from angarium.master.node import make_directories

    root, owner = options.root, _owner(conf, options)
    make_directories(under(root, conf.text("queue_directory")), (owner.uid, owner.gid) if owner else None)
    for name in ("data_directory", "virtual_mailbox_base"):
        if not conf.text(name):
            continue
        path = under(root, conf.text(name))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if owner is not None:
            owner.own(path)
    yield "queue, data and mailboxes: directories are there"


@dataclass(frozen=True, slots=True)
class _Setup:
    """One run."""

    answers: Answers
    directory: Path
    options: argparse.Namespace

    def run(self) -> Result:
        """Do all of it; what to print."""
        from angarium.commands.setup.records import public_addresses, records
        from angarium.config.interfaces import own_addresses

        done = list(self._steps())
        zone = list(records(self.answers, public_addresses(own_addresses())))
        lines = [*done, "", "Publish in the DNS:", "", *zone, "", *self._next()]
        return Result(lines, {"done": done, "records": zone, "account": self.answers.account})

    def _steps(self) -> Iterator[str]:
        from angarium.commands.setup import system
        from angarium.commands.setup.files import configuration, refuse_existing, under, write
        from angarium.config.config import Config

        root = self.options.root
        place = under(root, self.directory.absolute())
        files = configuration(self.answers, self.directory, self._certificate(), Path(self.options.aliases))
        files = [type(file)(under(root, file.path.absolute()), file.text, file.mode) for file in files]
        if self.options.system:
            system.refuse_foreign(root)
            files += system.unit_files(root)
        if not self.options.force:
            refuse_existing(files)
        password = read_password(self.answers.account)  # before anything is written: a wrong one ends it
        write(files)
        yield from (f"{file.path}: written" for file in files)
        yield from self._issued(root)
        conf = Config.load(place)
        if self.options.system:
            yield system.make_user(root, conf.text("mail_owner"))
        yield from _directories(conf, self.options)
        yield from self._aliases(place, under(root, self.options.aliases), conf)
        yield from self._account(conf, password)
        if self.options.system:
            yield from system.take_sendmail(root)
            yield from system.take_help(root)

    def _certificate(self) -> tuple[Path, Path]:
        if self.answers.certificate:
            return Path(self.answers.certificate), Path(self.answers.key)
        place = self.directory.absolute() / "tls"
        return place / "server.pem", place / "server.key"

    def _issued(self, root: Path) -> Iterator[str]:
        """Make a certificate where none was given."""
        from angarium.commands.setup.files import under
        from angarium.runtime.authority import Authority

        if self.answers.certificate:
            return
        place = under(root, self._certificate()[0]).parent
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        authority = Authority.ensure(place, f"Mail of {self.answers.domain}")
        authority.issue(place, tuple(dict.fromkeys((self.answers.hostname, self.answers.domain))))
        yield f"{place}: a certificate of your own; clients have to be told to trust {authority.certificate}"

    def _aliases(self, configuration: Path, aliases: Path, conf: Config) -> Iterator[str]:
        """Build the database of aliases, as newaliases does."""
        from angarium.commands import postalias

        kind = conf.text("default_database_type")
        if postalias.main(["-c", str(configuration), f"{kind}:{aliases}"]) != 0:
            raise Failure(os.EX_CANTCREAT, f"{kind}:{aliases} cannot be built")
        yield f"{kind}:{aliases}: built"

    def _account(self, conf: Config, password: str) -> Iterator[str]:
        """The domain, the account, and the names that every domain has."""
        from angarium.auth.passwords import hash_password
        from angarium.commands.setup.files import under
        from angarium.directory.admin import SqliteDirectoryAdmin
        from angarium.directory.interface import EntryExistsError

        root, answers = self.options.root, self.answers
        path = under(root, conf.text("directory_database"))
        admin = SqliteDirectoryAdmin(path)
        try:
            admin.add_domain(answers.domain)
            try:
                admin.add_account(answers.account, hash_password(password))
                yield f"{answers.account}: account made"
            except EntryExistsError:
                yield f"{answers.account}: is there already, with the password that it has"
            for name in _OWN_NAMES:
                address = f"{name}@{answers.domain}"
                if address != answers.account and _is_free(admin, address):
                    admin.add_alias(address, (answers.account,))
                    yield f"{address}: goes to {answers.account}"
        finally:
            admin.close()
        owner = _owner(conf, self.options)
        if owner is not None:
            for each in path.parent.glob(f"{path.name}*"):
                owner.own_file(each)

    def _next(self) -> Iterator[str]:
        place = "" if str(self.directory) == "/etc/postfix" else f" -c {self.directory}"
        yield "Then:"
        if self.options.system:
            yield "    systemctl daemon-reload && systemctl enable --now angarium"
        else:
            yield f"    postfix{place} start"
        yield f"    angarium{place} account add someone@{self.answers.domain}"
        yield f"    angarium{place} explain --from someone@example.net --to {self.answers.account} --client 192.0.2.1"


def _is_free(admin: DirectoryAdmin, address: str) -> bool:
    """No alias has the address."""
    from angarium.directory.interface import NoSuchEntryError

    try:
        admin.show_alias(address)
    except NoSuchEntryError:
        return True
    return False
