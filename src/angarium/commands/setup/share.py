"""Where the files are that come with the package: the default configuration, the units of systemd.

``packaging/`` of the source tree is ``share/`` of an installed package; an editable installation has the former alone.
"""

from __future__ import annotations

from pathlib import Path

import angarium


def shared_file(name: str) -> Path:
    """A file, ``shared_file("postfix/main.cf")``, or a directory. Raises FileNotFoundError when one is missing."""
    package = Path(angarium.__file__).parent
    for directory in (package / "share", package.parents[1] / "packaging"):
        if (directory / name).exists():
            return directory / name
    raise FileNotFoundError(2, "this installation of angarium lacks it", name)
