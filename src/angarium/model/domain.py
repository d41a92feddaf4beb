"""Domain names beyond ASCII as DNS has them: IDNA2008 in the mapping of UTS 46, or IDNA2003.

What the two make differently are four characters: ``ß``, ``ς`` and the joiners that Persian and Indic words are written
with. IDNA2003 replaces or drops them, so that such a name is another one (enable_idna2003_compatibility).

Whether a name may be registered is not judged, only whether it can be one.
"""

from __future__ import annotations

import re
import unicodedata

_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_DEVIATIONS = re.compile("([ß\u03c2\u200c\u200d])")
_LETTERS = frozenset({"Ll", "Lm", "Lo", "Mn", "Mc", "Nd", "Nl"})
_LABEL_LIMIT = 63


def ascii_domain(name: str, *, transitional: bool = False) -> str:
    """The name in ASCII; itself when it is. Raises UnicodeError when it cannot be a name of a domain.

    Args:
        name: as people write it.
        transitional: as IDNA2003 has it.
    """
    if name.isascii():
        return name
    if transitional:
        return name.encode("idna").decode("ascii")
    return ".".join(_ascii_label(label) for label in _DOTS.split(name))


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    pieces = _DEVIATIONS.split(label)
    pieces[::2] = [
        unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", each).casefold()) for each in pieces[::2]
    ]
    mapped = unicodedata.normalize("NFC", "".join(pieces))
    if mapped.isascii():
        return mapped
    for char in mapped:
        if unicodedata.category(char) not in _LETTERS and _DEVIATIONS.match(char) is None and char not in "-\u00b7":
            msg = f"{char!r} in a domain name"
            raise UnicodeError(msg)
    encoded = "xn--" + mapped.encode("punycode").decode("ascii")
    if len(encoded) > _LABEL_LIMIT:
        msg = "a label is too long"
        raise UnicodeError(msg)
    return encoded
