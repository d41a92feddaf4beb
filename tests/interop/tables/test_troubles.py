"""What goes wrong between a table and its database: it is a temporary error in bounded time, or gets over it."""

import asyncio
import socket
import subprocess
import sys
import time

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError
from angarium.tables.database.lookup import KEY_LIMIT


@pytest.fixture
def silent():
    """The port of a server that accepts and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def people(mariadb):
    mariadb.sql("CREATE DATABASE people CHARACTER SET utf8mb4")
    mariadb.sql(
        """
        CREATE TABLE t (k varchar(200), v varchar(200));
        INSERT INTO t VALUES ('alice', 'found'), ('nl', 'a\\nb');
        CREATE TABLE bytes (k varchar(200), v varbinary(200)); INSERT INTO bytes VALUES ('alice', X'ff');
        CREATE PROCEDURE looks(IN p varchar(200)) SELECT v FROM t WHERE k = p;
        CREATE PROCEDURE nothing(IN p varchar(200)) DO 1;
        CREATE USER 'p'@'%' IDENTIFIED BY 'sesame'; GRANT ALL ON people.* TO 'p'@'%';
        DELIMITER //
        CREATE PROCEDURE twice(IN p varchar(200)) BEGIN SELECT v FROM t WHERE k = p; SELECT 2; END//
        """,
        "people",
    )
    return mariadb


def mysql(server, query, more="", hosts=None):
    hosts = hosts or f"unix:{server.socket}"
    login = "" if "option_file" in more else "user = p\npassword = sesame\n"
    return f"hosts = {hosts}\n{login}dbname = people\nquery = {query}\n{more}"


PLAIN = "SELECT v FROM t WHERE k = '%s'"


def ask(lab, text, *keys, kind="mysql"):
    return lab.ask(f"{kind}:" + lab.table("t.cf", text), *keys)


def value(answer):
    return answer.value if isinstance(answer, Found) else answer


def test_a_lost_connection_is_replaced(people, lab):
    async def work():
        opener = lab.opener()
        table = opener.open("mysql:" + lab.table("t.cf", mysql(people, PLAIN)))
        first = await table.lookup("alice")
        identities = people.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'p'").split()
        for identity in identities:
            await asyncio.to_thread(people.sql, f"KILL {identity}")
        second = await table.lookup("alice")
        await opener.close()
        return first, second, len(identities)

    first, second, connections = asyncio.run(work())
    assert (value(first), value(second), connections) == ("found", "found", 1)
    assert not lab.warnings


def test_a_lost_connection_to_postgres_is_replaced(postgres, lab):
    postgres.sql("CREATE ROLE lost LOGIN PASSWORD 'x'")
    text = f"hosts = 127.0.0.1:{postgres.port}\nuser = lost\npassword = x\ndbname = postgres\nquery = SELECT '%s'\n"

    async def work():
        opener = lab.opener()
        table = opener.open("pgsql:" + lab.table("t.cf", text))
        first = await table.lookup("one")
        await asyncio.to_thread(
            postgres.sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'lost'"
        )
        second = await table.lookup("two")
        await opener.close()
        return value(first), value(second)

    assert asyncio.run(work()) == ("one", "two")
    assert not lab.warnings


def test_tables_with_the_same_settings_share_connections(people, lab):
    async def work():
        opener = lab.opener()
        one = opener.open("mysql:" + lab.table("one.cf", mysql(people, PLAIN)))
        two = opener.open("mysql:" + lab.table("two.cf", mysql(people, "SELECT '%s'")))
        for table in (one, two, one, two):
            await table.lookup("alice")
        count = people.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'p'")
        await opener.close()
        return int(count)

    assert asyncio.run(work()) == 1


def test_many_lookups_at_once_are_bounded_and_all_answered(people, lab):
    async def work():
        opener = lab.opener()
        table = opener.open("mysql:" + lab.table("t.cf", mysql(people, "SELECT SLEEP(0.02), '%s'")))
        answers = await asyncio.gather(*(table.lookup(f"key{number}") for number in range(40)))
        count = people.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'p'")
        await opener.close()
        return [value(answer) for answer in answers], int(count)

    answers, connections = asyncio.run(work())
    assert answers == [f"0,key{number}" for number in range(40)]
    assert connections <= 5


@pytest.mark.parametrize("kind", ["mysql", "pgsql", "ldap", "memcache"])
def test_a_server_that_says_nothing_costs_bounded_time_and_holds_up_nobody_else(people, lab, silent, kind):
    heads = {
        "ldap": f"server_host = 127.0.0.1:{silent}\ntimeout = 2\n",
        "memcache": f"memcache = inet:127.0.0.1:{silent}\ntimeout = 2\nmax_try = 1\n",
    }
    head = heads.get(
        kind, f"hosts = 127.0.0.1:{silent}\ndbname = x\nconnect_timeout = 2\nquery_timeout = 2\nquery = SELECT '%s'\n"
    )

    async def work():
        opener = lab.opener()
        hung = opener.open(f"{kind}:" + lab.table("hung.cf", head))
        good = opener.open("mysql:" + lab.table("good.cf", mysql(people, PLAIN)))
        begun = time.monotonic()
        waiting = [asyncio.create_task(hung.lookup("alice")) for _ in range(10)]
        await asyncio.sleep(0.05)
        answer = await good.lookup("alice")
        quick = time.monotonic() - begun
        answers = await asyncio.gather(*waiting)
        whole = time.monotonic() - begun
        again = time.monotonic()
        await hung.lookup("alice")
        afterwards = time.monotonic() - again
        await opener.close()
        return answer, answers, quick, whole, afterwards

    answer, answers, quick, whole, afterwards = asyncio.run(work())
    assert value(answer) == "found"
    assert quick < 1.8
    assert all(isinstance(each, TemporaryError) for each in answers)
    assert whole < 12
    if kind in ("mysql", "pgsql"):
        assert afterwards < 1, "the server is left alone for a minute"
    assert lab.warnings


def test_the_other_server_answers_meanwhile(people, lab, silent):
    hosts = f"127.0.0.1:1 127.0.0.1:{silent} 127.0.0.1:{people.port}"
    text = mysql(people, PLAIN, "connect_timeout = 1\n", hosts)
    assert [value(each) for each in ask(lab, text, "alice", "alice")] == ["found", "found"]


def test_unix_sockets_come_first(people, lab, silent):
    text = mysql(people, PLAIN, hosts=f"inet:127.0.0.1:{silent} unix:{people.socket}")
    begun = time.monotonic()
    assert value(ask(lab, text, "alice")[0]) == "found"
    assert time.monotonic() - begun < 0.9


def test_a_server_that_is_down_at_the_start(lab):
    for kind in ("mysql", "pgsql"):
        answer = ask(lab, "hosts = 127.0.0.1:1\ndbname = x\nquery = SELECT '%s'\n", "alice", kind=kind)[0]
        assert isinstance(answer, TemporaryError)
        assert f"connect to {kind} server 127.0.0.1:1" in answer.cause
        assert any("refused" in each for each in lab.warnings)


def test_a_wrong_password_is_a_temporary_error_and_does_not_print(people, postgres, lab):
    # Without TLS: the driver drops a connection that is refused, and TLS would say good-bye when the loop is over.
    uri = f"postgresql://u:hush@127.0.0.1:{postgres.port}/x?sslmode=disable"
    answers = [
        ask(lab, mysql(people, PLAIN).replace("sesame", "letmein"), "alice")[0],
        ask(lab, f"hosts = {uri}\nquery = SELECT 1\n", "a", kind="pgsql")[0],
    ]
    for answer in answers:
        assert isinstance(answer, TemporaryError)
    assert "Access denied" in answers[0].cause
    assert "password authentication failed" in answers[1].cause
    assert not any("hush" in text or "letmein" in text for text in (*lab.warnings, *(each.cause for each in answers)))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC", "syntax"),
        ("SELECT nosuch FROM t WHERE k = '%s'", "Unknown column"),
        ("CALL nosuch('%s')", "does not exist"),
        ("CALL twice('%s')", "multiple result sets"),
        ("CALL nothing('%s')", "no result set"),
        ("SELECT v FROM bytes WHERE k = '%s'", "non-UTF-8 value"),
        ("SELECT REPEAT('x', 15000000), REPEAT('y', 15000000)", "too large"),
    ],
)
def test_what_the_query_does_wrong(people, lab, query, words):
    first, second = ask(lab, mysql(people, query), "alice", "alice")
    assert isinstance(first, TemporaryError)
    assert words in first.cause
    assert isinstance(second, TemporaryError)
    assert words in second.cause, "a query that is refused does not switch the server off"


def test_a_query_that_takes_too_long_is_given_up_by_the_server_too(people, lab):
    text = mysql(people, "SELECT SLEEP(30)", "query_timeout = 1\n")
    answer = ask(lab, text, "alice")[0]
    assert isinstance(answer, TemporaryError)
    assert "did not answer" in answer.cause or "timed out" in answer.cause
    end = time.monotonic() + 10
    count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(30)'"
    while people.sql(count).strip() != "0" and time.monotonic() < end:
        time.sleep(0.02)
    assert people.sql(count).strip() == "0"


def test_stored_procedures(people, lab):
    assert value(ask(lab, mysql(people, "CALL looks('%s')"), "alice")[0]) == "found"
    text = mysql(people, "CALL nothing('%s')", "require_result_set = no\n")
    assert ask(lab, text, "alice") == [NOT_FOUND]


def test_quoting_without_backslash_escapes(people, lab):
    people.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'")
    try:
        keys = ["it's", "back\\slash", "\\' OR 1=1 -- "]
        answers = ask(lab, mysql(people, "SELECT '%s'"), *keys)
    finally:
        people.sql("SET GLOBAL sql_mode = DEFAULT")
    assert [value(answer) for answer in answers] == [key.lower() for key in keys]


def test_quoting_with_backslash_escapes_in_postgres(postgres, lab):
    postgres.sql("CREATE ROLE old LOGIN PASSWORD 'x'; ALTER ROLE old SET standard_conforming_strings = off")
    text = f"hosts = 127.0.0.1:{postgres.port}\nuser = old\npassword = x\ndbname = postgres\nquery = SELECT '%s'\n"
    keys = ["it's", "back\\slash", "\\' || version() -- "]
    assert [value(answer) for answer in ask(lab, text, *keys, kind="pgsql")] == [key.lower() for key in keys]


@pytest.mark.parametrize("kind", ["mysql", "pgsql", "sqlite", "ldap"])
def test_keys_that_no_database_takes(people, postgres, slapd, lab, tmp_path, kind):
    texts = {
        "mysql": mysql(people, "SELECT '%s'"),
        "pgsql": f"hosts = postgresql://postgres:super@127.0.0.1:{postgres.port}/postgres\nquery = SELECT '%s'\n",
        "sqlite": f"dbpath = {tmp_path / 'empty.db'}\nquery = SELECT '%s'\n",
        "ldap": f"server_host = ldap://127.0.0.1:{slapd.port}\nsearch_base = dc=example,dc=test\n"
        "query_filter = |(uid=alice)(uid=%s)\nresult_attribute = uid\nversion = 3\n",
    }
    (tmp_path / "empty.db").touch()
    long = "x" * (100_000 if kind == "ldap" else KEY_LIMIT - 1)  # slapd ends a connection over a message of 256 KiB
    keys = ["nul\0", b"\xff\xfe@\xfc".decode("utf-8", "surrogateescape"), "", "x" * 10_000_000, long, "new\nline"]
    answers = ask(lab, texts[kind], *keys, kind=kind)
    assert answers[:3] == [NOT_FOUND] * 3
    assert isinstance(answers[3], TemporaryError)
    if kind == "ldap":
        assert [value(each) for each in answers[4:]] == ["alice", "alice"]
    else:
        assert [value(each) for each in answers[4:]] == [long, "new\nline"]


def test_many_rows_and_lines_in_values(people, lab):
    text = mysql(people, "SELECT seq FROM seq_1_to_20000", "query_timeout = 60\n")
    assert value(ask(lab, text, "any")[0]).count(",") == 19_999
    limited = ask(lab, text + "expansion_limit = 19999\n", "any")[0]
    assert isinstance(limited, TemporaryError)
    assert "Expansion limit exceeded" in limited.cause
    assert value(ask(lab, mysql(people, PLAIN), "nl")[0]) == "a\nb"


def test_an_option_file_fills_in_what_the_table_leaves_out(people, lab):
    options = lab.table("my.cnf", "[client]\nuser = p\npassword = wrong\n[angarium]\npassword = 'sesame'\n")
    more = f"option_file = {options}\noption_group = angarium\n"
    assert value(ask(lab, mysql(people, PLAIN, more), "alice")[0]) == "found"
    more = f"option_file = {options}\n"
    assert isinstance(ask(lab, mysql(people, PLAIN, more), "alice")[0], TemporaryError)
    missing = ask(lab, mysql(people, PLAIN, "option_file = /no/such\n"), "alice")[0]
    assert isinstance(missing, TemporaryError)


def test_tls_to_mysql(people, lab):
    tls = f"tls_CAfile = {people.ca}\ntls_verify_cert = yes\n"
    status = "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version'"
    port = f"127.0.0.1:{people.port}"
    assert value(ask(lab, mysql(people, status, tls, port), "any")[0]).startswith("TLS")
    untrusted = ask(lab, mysql(people, status, "tls_verify_cert = yes\n", port), "any")[0]
    assert isinstance(untrusted, TemporaryError)
    assert "certificate verify failed" in untrusted.cause


def test_tls_to_postgres(postgres, lab):
    uri = (
        f"postgresql://postgres:super@localhost:{postgres.port}/postgres?sslmode=verify-full&sslrootcert={postgres.ca}"
    )
    query = "query = SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()\n"
    assert value(ask(lab, f"hosts = {uri}\n{query}", "any", kind="pgsql")[0]).startswith("TLS")


def test_settings_in_main_cf(people, lab):
    lab.main_cf.update(
        {"p_hosts": f"unix:{people.socket}", "p_user": "p", "p_password": "sesame", "p_dbname": "people"}
    )
    lab.main_cf["p_query"] = PLAIN
    assert [value(each) for each in lab.ask("mysql:p", "alice", "nobody")] == ["found", NOT_FOUND]
    assert lab.postmap("mysql:p", "alice", "nobody") == ["found", None]


def test_a_character_set_that_does_not_exist(people, lab):
    answer = ask(lab, mysql(people, PLAIN, "charset = nonsense\n"), "alice")[0]
    assert isinstance(answer, TemporaryError)
    assert "nonsense" in answer.cause


def test_a_domain_list_that_cannot_be_read_is_a_temporary_error(people, lab):
    text = mysql(people, "SELECT '%s'", "domain = fail:down\n")
    answers = ask(lab, text, "a@b.test", "unqualified")
    assert isinstance(answers[0], TemporaryError)
    assert answers[1] == NOT_FOUND


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("mysql", "", "bad string length 0 < 1: table ="),
        ("mysql", "query = SELECT 1", "bad string length 0 < 1: dbname ="),
        ("mysql", "query = SELECT '%q'", "Invalid query template"),
        ("mysql", "query = SELECT 1\nresult_format = %", "Invalid result template"),
        (
            "pgsql",
            "dbname = x\nquery = SELECT 1\nexpansion_limit = many",
            "bad numerical configuration: expansion_limit = many",
        ),
        ("sqlite", "query = SELECT 1", "bad string length 0 < 1: dbpath ="),
        ("mysql", "query = SELECT 1\nrequire_result_set = maybe", "bad boolean configuration"),
        ("ldap", "bind = perhaps", "bind = perhaps"),
        ("memcache", "memcache = nowhere", "bad memcache server"),
        ("mysql", "query\npassword = secret", "missing '=' after attribute name"),
        ("sqlite", "dbpath = /no/such.db\nquery = SELECT 1", "unable to open database file"),
    ],
)
def test_settings_that_make_no_sense(lab, kind, text, words):
    pytest.importorskip({"mysql": "pymysql", "pgsql": "asyncpg"}.get(kind, "apsw"))
    answer = ask(lab, text + "\n", "key", kind=kind)[0]
    assert isinstance(answer, TemporaryError)
    assert any(words in each for each in lab.warnings)
    assert not any("secret" in each for each in lab.warnings)


def test_a_missing_file_and_a_setting_that_is_there_twice(lab):
    assert isinstance(lab.ask("mysql:/no/such.cf", "x")[0], TemporaryError)
    assert any("open /no/such.cf: No such file" in each for each in lab.warnings)
    lab.warnings.clear()
    ask(lab, "password = first\npassword = second\nhosts = 127.0.0.1:1\nquery = SELECT 1\n", "x")
    assert any("overriding earlier entry: password" in each for each in lab.warnings)
    assert not any("first" in each or "second" in each for each in lab.warnings)


def test_a_missing_driver_says_which_extra_brings_it():
    program = (
        "import sys, asyncio; sys.modules['pymysql'] = None\n"
        "from angarium.tables.opener import TableOpener\n"
        "print(asyncio.run(TableOpener(print).open('mysql:/etc/x.cf').lookup('k')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "unsupported dictionary type: mysql" in done.stdout
    assert "angarium[mysql]" in done.stdout
    assert "TemporaryError" in done.stdout


def test_answers_of_postgres_that_grow_too_large_and_queries_that_take_too_long(postgres, lab):
    head = f"hosts = postgresql://postgres:super@127.0.0.1:{postgres.port}/postgres\n"
    large = ask(lab, head + "query = SELECT repeat('x', 1000) FROM generate_series(1, 100000)\n", "k", kind="pgsql")[0]
    assert isinstance(large, TemporaryError)
    assert "too large" in large.cause
    slow = ask(lab, head + "query_timeout = 1\nquery = SELECT pg_sleep(30)\n", "k", kind="pgsql")[0]
    assert isinstance(slow, TemporaryError)
    assert "did not answer within 1 seconds" in slow.cause
    still = postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30)%'")
    assert int(still) == 1, "only the question itself: the server was told to give the query up"
    wrong, right = ask(lab, head + "query = SELECT 1/(length('%s')-1)\n", "k", "kk", kind="pgsql")
    assert isinstance(wrong, TemporaryError)
    assert "division by zero" in wrong.cause
    assert value(right) == "1"
