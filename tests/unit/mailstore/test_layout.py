"""No account name leaves the base, and no two share a directory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from angarium.mailstore.layout import AccountNameError, account_directory


def test_an_ordinary_name(tmp_path):
    assert account_directory(tmp_path, "Bob.Smith+x@Example.Test") == tmp_path / "example.test" / "bob.smith+x"


@pytest.mark.parametrize("name", ["", "bob", "@x", "bob@", "a\0b@x"])
def test_no_names(tmp_path, name):
    with pytest.raises(AccountNameError):
        account_directory(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd@x", "a/b@x", "..@x", ".@x", "a@..", "a@../b", "a@.", "~@x", "%2E@x"]
)
def test_path_tricks(tmp_path, name):
    directory = account_directory(tmp_path, name)
    assert directory.parent.parent == tmp_path
    assert directory.resolve() == directory


names = st.text(min_size=1, max_size=300).filter(lambda text: "\0" not in text and "@" not in text)


@given(names, names)
def test_different_names_have_different_directories(one, two):
    from pathlib import Path

    base = Path("/base")
    first, second = account_directory(base, f"{one}@d"), account_directory(base, f"{two}@d")
    assert (first == second) == (one.casefold() == two.casefold())
    assert first.parent.parent == base
    assert len(first.name.encode()) <= 255
