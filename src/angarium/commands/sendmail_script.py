"""Writes sendmail(1) as a script that starts fast: ``python -m angarium.commands.sendmail_script FILE …``.

The script is ``sendmail_client.pl`` with the interpreters named, so that no shell has to find them: Perl's in the first
line, then ours, the environment's. Where there is no Perl it is ``sendmail_client.pl`` as it stands, which is the whole
command there. ``postfix set-permissions`` writes it over the script of the package.

A file is replaced in one step, with the mode 755 and the old one's owner. Fails with OSError.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("sendmail_client.pl")
MARK = "# A script of Angarium's, as `postfix set-permissions` writes it: sendmail(1), mailq(1) and newaliases(1)."
PERL = Path("/usr/bin/perl")
NAMES = ("sendmail", "mailq", "newaliases")
"""By which it is called, and knows what to do."""

_PART_OF_PERL = "#!perl\n"


def script(interpreter: str, perl: Path = PERL) -> str:
    """The script's text; the interpreter is the environment's."""
    source = SOURCE.read_text(encoding="utf-8")
    if not os.access(perl, os.X_OK):
        return source
    quoted = interpreter.replace("\\", "\\\\").replace("'", "\\'")
    return f"#!{perl}\n{MARK}\nour $interpreter = '{quoted}';\n{source.partition(_PART_OF_PERL)[2]}"


def write(path: Path, interpreter: str = sys.executable) -> None:
    """Write the script in place of what is there. Raises OSError."""
    text = script(interpreter).encode("utf-8", "surrogateescape")
    target = path.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.write_bytes(text)
        aside.chmod(0o755)
        with contextlib.suppress(FileNotFoundError):
            there = target.stat()
            if os.geteuid() == 0:
                os.chown(aside, there.st_uid, there.st_gid)
        aside.replace(target)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        for name in sys.argv[1:] if argv is None else argv:
            write(Path(name))
    except OSError as error:
        print(f"sendmail_script: fatal: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
