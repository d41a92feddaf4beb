"""From a recipient address to the account that takes its mail (virtual(8), ``virtual_mailbox_maps``).

The table is asked as virtual(8) documents it: ``user+extension@domain``, then ``user@domain``, then ``@domain``. What
it answers names the account: an address is the account's name, a path of two components ``domain/user`` is the account
``user@domain``, whose directory that is; any other text (a path made for another layout) says that the address that
was found is the account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from angarium.model.address import Address
from angarium.model.lookup import NOT_FOUND, Found, Lookup, NotFound, TemporaryError
from angarium.protocols.smtp.path import quote_address

Locate = Callable[[str], Awaitable[Lookup]]


def keys(recipient: str, delimiters: str) -> Iterator[str]:
    """The lookup keys of a recipient in internal form, the most specific first."""
    address = Address.split(recipient)
    yield address.folded
    if delimiters:
        base, extension = address.extension(delimiters)
        if extension:
            yield Address(base, address.domain).folded
    if address.domain:
        yield f"@{address.domain}".casefold()


async def find_account(locate: Locate, recipient: str, delimiters: str) -> Lookup:
    """The account of a recipient: Found with the account's name, NotFound, or TemporaryError.

    Tables hold a local part that needs quotes in its quoted form, so that is asked for first.
    """
    for key in keys(recipient, delimiters):
        for form in dict.fromkeys((key if key.startswith("@") else quote_address(key), key)):
            answer = await locate(form)
            if isinstance(answer, NotFound):
                continue
            if isinstance(answer, TemporaryError):
                return answer
            account = _account(answer.value, key)
            if not account:
                return TemporaryError(f"no account in {answer.value!r}", answer.source)
            return Found(account, answer.source)
    return NOT_FOUND


def _account(value: str, key: str) -> str:
    value = value.strip()
    if "@" in value and "/" not in value:
        return value.casefold()
    components = [component for component in value.split("/") if component not in ("", ".", "..")]
    if len(components) == 2:
        domain, user = components
        return f"{user}@{domain}".casefold()
    return "" if key.startswith("@") else key
