"""Writes sendmail(1) as a script that starts fast: ``python -m angarium.commands.launcher FILE …``.

The script names its interpreter, without site, and holds the bytecode of ``sendmail_client`` for it beside the source,
so that nothing is searched for or compiled: 2 ms of CPU less than the script of the package. It is the interpreter
that an environment's link leads to, which takes another 0.6 ms less than the link; the whole command is for the link.
An interpreter of another version, as after an upgrade, takes the source. ``postfix set-permissions`` writes it over the
script of the package.

A file is replaced in one step, with the mode 755 and the old one's owner. Fails with OSError; with ValueError when the
interpreter's path cannot stand in the first line of a script.
"""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("sendmail_client.py")
MARK = "# A script of Angarium's, as `postfix set-permissions` writes it: sendmail(1), mailq(1) and newaliases(1)."

_LONGEST = 120
"""Bytes of the first line that every kernel reads."""


def script(interpreter: str) -> str:
    """The script's text; the interpreter is the environment's. Raises ValueError."""
    first = f"#!{os.path.realpath(interpreter)} -IS"
    if len(os.fsencode(first)) > _LONGEST or any(char.isspace() for char in interpreter):
        raise ValueError(f"cannot stand in the first line of a script: {interpreter}")
    source = SOURCE.read_text(encoding="utf-8")
    code = marshal.dumps(compile(source, "sendmail", "exec", dont_inherit=True, optimize=2))
    return (
        f"{first}\n{MARK}\nimport marshal\nimport sys\n\nINTERPRETER = {interpreter!r}\n"
        f'if sys.modules["_frozen_importlib_external"].MAGIC_NUMBER == {importlib.util.MAGIC_NUMBER!r}:\n'
        f"    exec(marshal.loads({code!r}))\nelse:\n    exec({source!r})\n"
    )


def write(path: Path, interpreter: str = sys.executable) -> None:
    """Write the script in place of what is there. Raises OSError, ValueError."""
    text = script(interpreter)
    target = path.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
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
    except (OSError, ValueError) as error:
        print(f"launcher: fatal: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
