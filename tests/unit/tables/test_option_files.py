import pytest

from angarium.tables.database.optionfile import read_options


def test_groups_quotes_escapes_comments_and_includes(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.cnf").write_text("[client]\nport=33\n[own]\nuser = 'last one'\n")
    (tmp_path / "more" / "b.txt").write_text("[client]\nport=44\n")
    (tmp_path / "my.cnf").write_text(
        '# comment\n; another\n[client]\nuser=first\nssl_ca = "/a b"\npassword = a\\sb\\\\c # not this\n'
        "host = h#x\nflag\n[mysqld]\nuser=wrong\n[own]\nuser=second\n"
        f"!include {tmp_path}/none.cnf\n!includedir {tmp_path}/more\n"
    )
    options = read_options(str(tmp_path / "my.cnf"), "own")
    assert options == {
        "user": "last one", "ssl-ca": "/a b", "password": "a b\\c", "host": "h#x", "flag": "", "port": "33"
    }  # fmt: skip
    assert read_options(str(tmp_path / "my.cnf"), "client")["user"] == "first"


def test_an_include_of_itself_ends(tmp_path):
    (tmp_path / "my.cnf").write_text(f"[client]\nuser=x\n!include {tmp_path}/my.cnf\n")
    assert read_options(str(tmp_path / "my.cnf"), "client") == {"user": "x"}


def test_what_is_read_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".my.cnf").write_text("[client]\nuser = home\n")
    assert read_options("", "") == {}
    assert read_options("", "client")["user"] == "home"
    with pytest.raises(ValueError, match="open /no/such: No such file"):
        read_options("/no/such", "client")
