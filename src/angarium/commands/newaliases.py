"""newaliases(1): builds the files of alias_database anew, as ``sendmail -bi`` does.

==========  ==========================================================================
``-C``      the configuration directory, or main.cf in it
``-oA``     the file with aliases to build, in place of those of alias_database
==========  ==========================================================================

The other options are those of sendmail(1). Exit status as postalias(1); 75 for a wrong call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from angarium.commands import sendmail


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    return sendmail.main(sys.argv[1:] if argv is None else argv, "newaliases")


if __name__ == "__main__":
    sys.exit(main())
