r"""regexp_table(5): rules with POSIX regular expressions.

The flag ``i`` minds the case, ``x`` takes basic expressions, ``m`` lets ``^`` and ``$`` match at line ends and keeps
``.`` from them.

Expressions are those of the C library where that is glibc, as in Postfix: the same leftmost-longest matches, the same
word boundaries, the same complaints. Elsewhere, and for expressions with back-references, which glibc may take for ever
to match, they are translated for ``re``; then the first alternative that matches wins and not the longest, and basic
expressions are refused.
"""

from __future__ import annotations

from angarium.tables.interface import Table
from angarium.tables.opener import TableSite
from angarium.tables.posix import EXTENDED, ICASE, NEWLINE, compile_posix
from angarium.tables.rules import Dialect, RuleTable

DIALECT = Dialect(
    name="regexp",
    flags={"i": ICASE, "m": NEWLINE, "x": EXTENDED},
    default=ICASE | EXTENDED,
    obsolete="",
    compile=compile_posix,
    unclosed="skipping",
    zero="out-of-range",
    second=True,
)


def open_table(name: str, argument: str, site: TableSite) -> Table:
    """Open a regexp table. Raises ValueError and OSError."""
    return RuleTable(name, argument, site, DIALECT)
