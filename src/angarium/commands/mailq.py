"""mailq(1): lists the mail queue, as ``sendmail -bp`` and ``postqueue -p`` do.

``-C`` and ``-c`` name the configuration directory. Exit status as postqueue(1).
"""

from __future__ import annotations

import getopt
import sys
from collections.abc import Sequence

from angarium.commands import postqueue
from angarium.commands.queue_command import CommandError, QueueCommand, complain


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        options, _operands = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "C:c:v")
    except getopt.GetoptError as error:
        complain("mailq", f"invalid option -- '{error.opt}'")
        return postqueue.UNAVAILABLE
    directory = next((value for option, value in options if option in ("-C", "-c")), None)
    try:
        postqueue.list_queue(QueueCommand("postqueue", directory), as_json=False)
    except BrokenPipeError:
        return postqueue.UNAVAILABLE
    except (CommandError, OSError) as error:
        complain("postqueue", error)
        return postqueue.UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
