"""MySQL, PostgreSQL and SQLite tables in the schemas that people use, beside Postfix's postmap with the same files."""

import contextlib
import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from angarium.model.lookup import Found, TemporaryError
from angarium.tables.keys import fold_unicode

SCHEMA = """
CREATE TABLE domain (domain varchar(200) NOT NULL PRIMARY KEY, transport varchar(200) NOT NULL,
  backupmx int NOT NULL, active int NOT NULL);
CREATE TABLE mailbox (username varchar(200) NOT NULL PRIMARY KEY, maildir varchar(200) NOT NULL, quota int NOT NULL,
  domain varchar(200) NOT NULL, active int NOT NULL);
CREATE TABLE alias (address varchar(200) NOT NULL PRIMARY KEY, goto text NOT NULL, domain varchar(200) NOT NULL,
  active int NOT NULL);
CREATE TABLE alias_domain (alias_domain varchar(200) NOT NULL PRIMARY KEY, target_domain varchar(200) NOT NULL,
  active int NOT NULL);
CREATE TABLE virtual_domains (id int NOT NULL PRIMARY KEY, name varchar(50) NOT NULL);
CREATE TABLE virtual_users (id int NOT NULL PRIMARY KEY, domain_id int NOT NULL, email varchar(100) NOT NULL,
  password varchar(150) NOT NULL, quota int NOT NULL);
CREATE TABLE virtual_aliases (id int NOT NULL PRIMARY KEY, domain_id int NOT NULL, source varchar(100) NOT NULL,
  destination varchar(100) NOT NULL);
CREATE TABLE odd (k varchar(200), v varchar(200), w varchar(200));
INSERT INTO domain VALUES ('example.test', 'virtual', 0, 1), ('backup.test', 'relay:[mx.backup.test]', 1, 1),
  ('closed.test', 'virtual', 0, 0), ('münchen.test', 'virtual', 0, 1);
INSERT INTO mailbox VALUES ('alice@example.test', 'example.test/alice/', 1024, 'example.test', 1),
  ('bob@example.test', 'example.test/bob/', 0, 'example.test', 1),
  ('closed@example.test', 'example.test/closed/', 0, 'example.test', 0),
  ('o''neil@example.test', 'example.test/oneil/', 0, 'example.test', 1);
INSERT INTO alias VALUES ('alice@example.test', 'alice@example.test', 'example.test', 1),
  ('sales@example.test', 'alice@example.test,bob@example.test', 'example.test', 1),
  ('off@example.test', 'alice@example.test', 'example.test', 0), ('@catch.test', 'bob@example.test', 'catch.test', 1);
INSERT INTO alias_domain VALUES ('alias.test', 'example.test', 1), ('dead.test', 'example.test', 0);
INSERT INTO virtual_domains VALUES (1, 'example.test'), (2, 'isp.test');
INSERT INTO virtual_users VALUES (1, 2, 'user@isp.test', '{BLF-CRYPT}x', 0), (2, 2, 'other@isp.test', 'x', 5);
INSERT INTO virtual_aliases VALUES (1, 2, 'info@isp.test', 'user@isp.test'), (2, 2, 'info@isp.test', 'other@isp.test'),
  (3, 2, '@isp.test', 'catchall@isp.test');
INSERT INTO odd VALUES ('null', NULL, 'w'), ('empty', '', 'w'), ('at', 'x@y', NULL), ('at', '@z', NULL),
  ('at', 'plain', NULL), ('at', 'v@', NULL), ('percent', '100%', '%s %d'), ('pe%cent', 'like', NULL),
  ('under_score', 'u', NULL), ('underXscore', 'X', NULL), ('comma', 'a,b', 'c'), ('quote''s', 'single', NULL),
  ('dou"ble', 'double', NULL), ('semi;colon', 'semi', NULL), ('dash--x', 'dash', NULL), ('spa ce', 'space', NULL),
  ('back/*x*/', 'comment', NULL), ('dollar$$', 'dollar', NULL), ('many', '1', NULL), ('many', '2', NULL),
  ('many', '3', NULL), ('lead', '  lead', 'trail  ');
"""

KEYS = [
    "example.test", "EXAMPLE.Test", "backup.test", "closed.test", "none.test", "alice@example.test", "bob@example.test",
    "Alice@EXAMPLE.test", "closed@example.test", "o'neil@example.test", "sales@example.test", "off@example.test",
    "@catch.test", "x@catch.test", "alice@alias.test", "sales@alias.test", "o'neil@alias.test", "alice@dead.test",
    "nobody@alias.test", "user@isp.test", "info@isp.test", "@isp.test", "user@", "@", "user", "a@b@example.test",
    "null", "empty", "at", "percent", "pe%cent", "under_score", "comma", "quote's", 'dou"ble', "semi;colon", "dash--x",
    "spa ce", "back/*x*/", "dollar$$", "many", "lead", "' OR '1'='1", "'; DROP TABLE odd; --", '" OR ""="', "%", "%s",
    "\\", "\\'", "\\' OR 1=1 -- ", "'' OR 1", "x' UNION SELECT password FROM virtual_users -- ", "a.b.c.d", "u@a.b.c.d",
    "u@a..b.c", "u@.b", "u@b.", "tab\\tkey", "$1", "#", "/*", "null\\0", "u@x.example.test",
]  # fmt: skip

ALIAS_OF_DOMAIN = (
    "SELECT goto FROM alias, alias_domain WHERE alias_domain.alias_domain = '%d' AND "
    "alias.address = {address} AND alias.active = 1 AND alias_domain.active = 1"
)
CONFIGURATIONS = {
    "postfixadmin domains": "query = SELECT domain FROM domain WHERE domain='%s' AND backupmx = 0 AND active = 1",
    "postfixadmin relay": "query = SELECT transport FROM domain WHERE domain='%s' AND backupmx = 1",
    "postfixadmin mailboxes": "query = SELECT maildir FROM mailbox WHERE username='%s' AND active = 1",
    "postfixadmin quota": "query = SELECT quota FROM mailbox WHERE username='%s' AND active = 1",
    "postfixadmin aliases": "query = SELECT goto FROM alias WHERE address='%s' AND active = 1",
    "postfixadmin alias domains": f"query = {ALIAS_OF_DOMAIN}",
    "isp domains": "query = SELECT 1 FROM virtual_domains WHERE name='%s'",
    "isp users": "query = SELECT 1 FROM virtual_users WHERE email='%s'",
    "isp aliases": "query = SELECT destination FROM virtual_aliases WHERE source='%s' ORDER BY id",
    "isp email to email": "query = SELECT email FROM virtual_users WHERE email='%s'",
    "legacy": "select_field = goto\ntable = alias\nwhere_field = address\nadditional_conditions = AND active = 1",
    "legacy beside query": "select_field = x\ntable = y\nwhere_field = z\nquery = SELECT v FROM odd WHERE k = '%s'",
    "odd": "query = SELECT v FROM odd WHERE k = '%s' ORDER BY v",
    "odd, only users": "query = SELECT v FROM odd WHERE k = '%s' ORDER BY v\nresult_format = <%u>",
    "odd, only domains": "query = SELECT v FROM odd WHERE k = '%s' ORDER BY v\nresult_format = [%d]",
    "odd, key in result": "query = SELECT v FROM odd WHERE k = '%s' ORDER BY v\nresult_format = %S:%s:%%",
    "like": "query = SELECT v FROM odd WHERE k LIKE '%s' ESCAPE '!' ORDER BY v, k\nexpansion_limit = 100",
    "parts": "query = SELECT '%u|%d|%s|%S|%U|%D'",
    "user part": "query = SELECT '<%u>'",
    "labels": "query = SELECT '%1 %2 %3'",
    "labels in the result": "query = SELECT 'v@w'\nresult_format = %u %d %U %D %2",
    "limit": "query = SELECT v FROM odd WHERE k = '%s' AND k <> 'many' AND k <> 'at'\nexpansion_limit = 1",
    "domain": "query = SELECT '%s'\ndomain = example.test, ISP.test",
    "domain in tables": "query = SELECT '%s'\ndomain = inline:{ isp.test=1 }, !alias.test, static:all",
    "spaces": "query = SELECT '%s'\nresult_format = smtp:[ %s ]:25",
    "joined": "query = SELECT username FROM mailbox UNION SELECT 'z' ORDER BY 1\nresult_format = %s",
}


@dataclass(frozen=True)
class Backend:
    """A database with the schema in it: how a table file begins, and how SQL joins strings."""

    kind: str
    head: str
    concat: str


def load_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)


@pytest.fixture(scope="module", params=["mysql", "pgsql", "sqlite"])
def backend(request, tmp_path_factory):
    if request.param == "mysql":
        server = request.getfixturevalue("mariadb")
        server.sql("CREATE DATABASE mail CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        server.sql(SCHEMA, "mail")
        server.sql("CREATE USER 'reader'@'%' IDENTIFIED BY 'rea der'; GRANT SELECT ON mail.* TO 'reader'@'%';")
        hosts = f"hosts = unix:{server.socket}\n"
        return Backend("mysql", f"{hosts}user = reader\npassword = rea der\ndbname = mail\n", "CONCAT('%u', '@', {})")
    if request.param == "pgsql":
        server = request.getfixturevalue("postgres")
        server.sql("CREATE DATABASE mail")
        server.sql(SCHEMA, "mail")
        server.sql(
            "CREATE ROLE reader LOGIN PASSWORD 'rea der'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "mail"
        )
        hosts = f"hosts = inet:127.0.0.1:{server.port}\n"
        return Backend("pgsql", f"{hosts}user = reader\npassword = rea der\ndbname = mail\n", "'%u' || '@' || {}")
    path = tmp_path_factory.mktemp("sqlite") / "mail.db"
    load_sqlite(path)
    return Backend("sqlite", f"dbpath = {path}\n", "'%u' || '@' || {}")


@pytest.mark.interop
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_answers_are_those_of_postfix(backend, lab, configuration):
    address = backend.concat.format("alias_domain.target_domain")
    text = CONFIGURATIONS[configuration].replace("{address}", address)
    name = f"{backend.kind}:" + lab.table("t.cf", backend.head + text + "\n")
    answers = lab.ask(name, *KEYS)
    theirs = lab.postmap(name, *KEYS)
    differing = [
        (key, mine, real)
        for key, mine, real in zip(KEYS, answers, theirs, strict=True)
        if (mine.value if isinstance(mine, Found) else None) != real
    ]
    assert not differing
    assert not any(isinstance(each, TemporaryError) for each in answers)


NASTY = "'\"\\%_;-/*#`$(){}[]\n\r\t\x01\x1a\x7f aZ0@.é漢\U0001f600\u202eß"


def test_any_text_goes_into_a_query_as_one_piece_of_text(backend, lab):
    chance = random.Random(5)
    keys = ["".join(chance.choices(NASTY, k=chance.randint(1, 30))) for _ in range(500)]
    name = f"{backend.kind}:" + lab.table("t.cf", f"{backend.head}query = SELECT '%s'\n")
    answers = lab.ask(name, *keys)
    assert [answer.value for answer in answers] == [fold_unicode(key) for key in keys]
    parts = f"{backend.kind}:" + lab.table("u.cf", f"{backend.head}query = SELECT '%u' WHERE '%d' = 'example.test'\n")
    answers = lab.ask(parts, *(f"{key}@example.test" for key in keys))
    assert [answer.value for answer in answers] == [fold_unicode(key) for key in keys]
