"""mailq(1): lists the mail queue, as ``sendmail -bp`` and ``postqueue -p`` do.

========  ==========================================================================
``-C``    the configuration directory, or main.cf in it; so is ``-c`` as the first word
========  ==========================================================================

The other options are those of sendmail(1). Exit status as postqueue(1); 75 for a wrong call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from angarium.commands import sendmail


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["-c"] and len(words) > 1:
        words[0] = "-C"
    return sendmail.main(words, "mailq")


if __name__ == "__main__":
    sys.exit(main())
