from pathlib import Path

import pytest

from angarium.config.error import ConfigError
from angarium.tables.database.source import TableSource
from angarium.tables.opener import TableOpener
from angarium.tables.sqlite import open_table


def site_of(tmp_path, warnings, parameter=lambda _: None):
    opener = TableOpener(warnings.append, base=tmp_path, parameter=parameter)
    return opener._site


def source_of(tmp_path, text, warnings=None):
    (tmp_path / "t.cf").write_text(text)
    return TableSource("mysql", "./t.cf", site_of(tmp_path, warnings if warnings is not None else []))


def test_values_of_a_file_are_not_expanded(tmp_path):
    source = source_of(tmp_path, "a = $b\n  more\nb = x # y\n")
    assert source.text("a") == "$b  more"
    assert source.text("b") == "x # y"
    assert source.text("c", "default") == "default"


def test_types_and_their_faults(tmp_path):
    source = source_of(tmp_path, "n = 5\nbad = five\nyes = YES\nmaybe = perhaps\ntime = 2m\nlist = a, b\n c\nempty =\n")
    assert source.integer("n", 0) == 5
    assert source.boolean("yes", default=False) is True
    assert source.seconds("time", 1) == 120
    assert source.names("list") == ("a", "b", "c")
    assert source.present("empty")
    for read in (
        lambda: source.integer("bad", 0),
        lambda: source.integer("n", 0, 6),
        lambda: source.boolean("maybe", default=True),
        lambda: source.seconds("bad", 1),
        lambda: source.text("empty", required=True),
    ):
        with pytest.raises(ValueError, match=r"^\./t\.cf: (bad|parameter|invalid)"):
            read()


def test_secrets_do_not_print(tmp_path):
    pymysql = pytest.importorskip("pymysql")
    from angarium.tables.mysql import MysqlSettings

    assert pymysql
    settings = MysqlSettings.read(source_of(tmp_path, "password = sesame\ndbname = x\n"))
    assert "sesame" not in repr(settings)
    assert settings.password.reveal() == "sesame"
    from angarium.tables.pgsql import PgsqlDriver, PgsqlSettings

    settings = PgsqlSettings.read(
        source_of(
            tmp_path, "hosts = postgresql://u:sesame@h/x postgresql://h/?user=u&password=sesame\npassword = open\n"
        )
    )
    assert "sesame" not in repr(settings) + repr(settings.servers()[0][0]) + repr(settings.servers()[1][0])
    assert "open" not in repr(settings)
    assert "sesame" not in repr(PgsqlDriver(settings))


def test_settings_in_main_cf_have_the_tables_name_before_them(tmp_path):
    def parameter(name):
        if name == "db_broken":
            raise ConfigError("missing '}'")
        return {"db_hosts": "h1 h2"}.get(name)

    source = TableSource("mysql", "db", site_of(tmp_path, [], parameter))
    assert source.names("hosts") == ("h1", "h2")
    with pytest.raises(ValueError, match="db_broken: missing"):
        source.text("broken")
    with pytest.raises(ValueError, match=r"bad string length 0 < 1: db_dbname = $"):
        source.text("dbname", required=True)


@pytest.mark.parametrize("argument", ["", "/no/such/file", "/a\0b"])
def test_what_cannot_be_read(tmp_path, argument):
    with pytest.raises(ValueError, match=r"type:name|No such file|NUL"):
        TableSource("mysql", argument, site_of(tmp_path, []))


def test_a_table_of_a_missing_file_works_once_the_file_is_there(tmp_path):
    warnings = []
    table = open_table("sqlite:x", "./x.cf", site_of(tmp_path, warnings))
    assert not table.pattern
    assert any("No such file" in each for each in warnings)
    assert Path(tmp_path).exists()
