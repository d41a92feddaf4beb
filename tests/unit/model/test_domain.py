import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.model.domain import ascii_domain


@pytest.mark.parametrize(
    ("name", "ascii_name", "transitional"),
    [
        ("x.test", "x.test", "x.test"),
        ("نمونه.ایران", "xn--hhbbbed.xn--mgba3a4f16a", "xn--hhbbbed.xn--mgba3a4f16a"),
        ("نامه\u200cای.com", "xn--mgba3gch31f060k.com", "xn--mgba3gch31f.com"),
        ("faß.de", "xn--fa-hia.de", "fass.de"),
        ("βόλος.com", "xn--nxasmm1c.com", "xn--nxasmq6b.com"),
        ("Bücher.Test", "xn--bcher-kva.Test", "xn--bcher-kva.Test"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah"),
        ("ｆｕｌｌ.test", "full.test", "full.test"),
    ],
)
def test_names_beyond_ascii(name, ascii_name, transitional):
    assert ascii_domain(name) == ascii_name
    assert ascii_domain(name, transitional=True) == transitional


@pytest.mark.parametrize("name", ["a b é.test", "é\u2028.test", "é☃.test", "é" * 80 + ".test", "é\ud800.test"])
def test_what_can_be_no_name(name):
    with pytest.raises(UnicodeError):
        ascii_domain(name)


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_any_text_is_a_name_or_is_refused(name):
    with contextlib.suppress(UnicodeError):
        assert ascii_domain(name).isascii()
