"""The Date field (RFC 5322 section 3.3) as seconds since the epoch, obsolete forms included; and IMAP's date-time."""

from __future__ import annotations

import calendar
import re

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_MONTH_NAMES = tuple(name.capitalize() for name in _MONTHS)
_ZONES = {b"ut": 0, b"gmt": 0, b"z": 0, b"est": -300, b"edt": -240, b"cst": -360, b"cdt": -300, b"mst": -420,
          b"mdt": -360, b"pst": -480, b"pdt": -420}  # fmt: skip
_DATE = re.compile(
    rb"\s*(?:[A-Za-z]{3,9}\s*,?\s*)?([0-9]{1,2})[\s-]+([A-Za-z]{3})[a-z]*[\s-]+([0-9]{2,4})\s+"
    rb"([0-9]{1,2})\s*:\s*([0-9]{2})(?:\s*:\s*([0-9]{2}))?\s*(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]{1,5}))?"
)


def parse_date(value: bytes) -> float | None:
    """Seconds since the epoch; None when it is not a date. An unknown zone is UTC."""
    match = _DATE.match(value)
    if match is None:
        return None
    day, name, year_text, hour, minute, second, sign, zone_hours, zone_minutes, zone = match.groups()
    try:
        month = _MONTHS.index(name.lower()) + 1
    except ValueError:
        return None
    year = int(year_text)
    if len(year_text) <= 3:  # RFC 5322 section 4.3
        year += 2000 if year < 50 and len(year_text) == 2 else 1900
    if not 1 <= int(day) <= 31 or int(hour) > 23 or int(minute) > 59 or year < 1:
        return None
    seconds = calendar.timegm((year, month, int(day), int(hour), int(minute), int(second or 0)))
    if sign:
        offset = int(zone_hours) * 60 + int(zone_minutes)
        offset = -offset if sign == b"-" else offset
    else:
        offset = _ZONES.get(zone.lower(), 0) if zone else 0
    return float(seconds - offset * 60)


def date_time(seconds: float, zone: int) -> bytes:
    """IMAP's quoted date-time: ``"17-Jul-1996 02:44:25 -0700"``. ``zone`` is minutes east of UTC."""
    days, rest = divmod(int(seconds // 1) + zone * 60, 86400)
    year, month, day = _civil(days)
    sign, zone = (b"-", -zone) if zone < 0 else (b"+", zone)
    return b'"%2d-%b-%04d %02d:%02d:%02d %b%02d%02d"' % (
        day, _MONTH_NAMES[month - 1], year, rest // 3600, rest // 60 % 60, rest % 60, sign, zone // 60, zone % 60
    )  # fmt: skip


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since the epoch, in the proleptic Gregorian calendar."""
    days += 719468
    era, day_of_era = divmod(days, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1
