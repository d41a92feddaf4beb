import pytest

pytest.importorskip("asyncpg")

from angarium.tables.pgsql import decode, quote, quote_backslash


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\tb\nc\td\n", ["a", "b", "c", "d"]),
        (rb"\N" + b"\t" + rb"\\N" + b"\n", [None, "\\N"]),
        (rb"a\tb\nc\\d\re\bf" + b"\n", ["a\tb\nc\\d\re\bf"]),
        ("mün\n".encode(), ["mün"]),
        (b"\xff\n", ["\udcff"]),
    ],
)
def test_columns_of_an_answer(answer, columns):
    assert decode(answer) == columns


def test_quoting():
    assert quote("it's \\") == "it''s \\"
    assert quote_backslash("it's \\") == "it''s \\\\"
