"""LDAP tables against slapd, and beside Postfix's postmap with the same files."""

import random

import pytest

from angarium.model.lookup import NOT_FOUND, Found, TemporaryError

KEYS = [
    "alice", "Alice", "bob", "carol", "nobody", "al*", "*", "a)(uid=*", "alice@example.test", "ALICE@Example.TEST",
    "a.ant@example.test", "bob@example.test", "carol@example.test", "staff@example.test", "everyone@example.test",
    "routed@example.test", "dynamic@example.test", "umlaut@example.test", "o'neil*(x)\\@example.test",
    "o'neil (x) *y, z", "ümlaut", "@example.test", "alice@other.test", "x@a.example.test", "hidden@example.test",
    "hidden2@example.test", "a#b", "a+b@example.test", "  alice", "back\\slash", 'quote"d',
]  # fmt: skip

GROUP = "query_filter = mail=%s\nspecial_result_attribute = member, memberURL\n"
CONFIGURATIONS = {
    "defaults": "",
    "version 3": "version = 3\nquery_filter = (mail=%s)\nresult_attribute = uid\n",
    "no bind": "bind = no\nversion = 3\nquery_filter = mail=%s\nresult_attribute = uid\n",
    "alternate": "query_filter = (|(mail=%s)(mailAlternateAddress=%s))\nresult_attribute = mail, maildrop\n",
    "one level, wrong place": "scope = one\nquery_filter = mail=%s\nresult_attribute = uid\n",
    "base": "scope = base\nsearch_base = uid=%s,ou=people,dc=example,dc=test\nquery_filter = objectClass=*\n",
    "base of the user": "scope = base\nsearch_base = uid=%u,ou=people,dc=example,dc=test\nquery_filter = mail=*\n",
    "parts": "query_filter = (&(uid=%u)(mail=%u@%d))\nresult_attribute = cn\n",
    "labels": "query_filter = (&(uid=%u)(mail=%u@%2.%1))\nresult_attribute = cn\n",
    "three labels": "query_filter = (&(uid=%u)(mail=%u@%2.%1)(!(uid=%3)))\nresult_attribute = cn\n",
    "format": "query_filter = mail=%s\nresult_attribute = mail\nresult_format = smtp:[%d] %u %U %%\n",
    "old format": "query_filter = mail=%s\nresult_attribute = mail\nresult_filter = <%s>\n",
    "domain": "domain = other.test, example.test\nquery_filter = mail=%s\nresult_attribute = uid\n",
    "group": GROUP + "result_attribute = mail\n",
    "group with addresses": GROUP + "result_attribute = memberaddr\nleaf_result_attribute = mail\n",
    "group, leaves": GROUP + "result_attribute =\nleaf_result_attribute = mail\n",
    "group, terminal": GROUP
    + "result_attribute =\nleaf_result_attribute = mail\nterminal_result_attribute = maildrop\n",
    "wildcard filter": "query_filter = (&(mail=*)(uid=%u*)(sn=*a*t))\nresult_attribute = cn\n",
    "extensible": "query_filter = (uid:caseIgnoreMatch:=%u)\nresult_attribute = cn\n",
    "odd operators": "query_filter = (&(uid>=%u)(uid<=%u)(uid~=%u))\nresult_attribute = cn\n",
    "dereferenced": "search_base = ou=people,dc=example,dc=test\ndereference = 3\nquery_filter = mail=%s\n"
    "result_attribute = uid\n",
    "expansions": "query_filter = mail=%s\nresult_attribute = mail, mailAlternateAddress\nresult_format = %s+%S\n",
    "missing attribute": "query_filter = mail=%s\nresult_attribute = nosuch\n",
}


def settings(slapd, text):
    start = f"server_host = ldap://127.0.0.1:{slapd.port}\n"
    return start + ("" if "search_base" in text else "search_base = dc=example,dc=test\n") + text


@pytest.mark.interop
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_answers_are_those_of_postfix(slapd, lab, configuration):
    name = "ldap:" + lab.table("l.cf", settings(slapd, CONFIGURATIONS[configuration]))
    ours = [each.value if isinstance(each, Found) else each for each in lab.ask(name, *KEYS)]
    theirs = lab.postmap(name, *KEYS)
    differing = [
        (key, mine, real)
        for key, mine, real in zip(KEYS, ours, theirs, strict=True)
        if (mine if isinstance(mine, str) else None) != real
    ]
    assert not differing
    assert not any(isinstance(each, TemporaryError) for each in ours)


def test_a_secret_tree_wants_a_login(slapd, lab):
    base = "version = 3\nquery_filter = mail=%s\nresult_attribute = uid\n"
    login = base + "bind_dn = cn=admin,dc=example,dc=test\nbind_pw = top secret\n"
    assert isinstance(ask_one(slapd, lab, login, "hidden@example.test"), Found)
    assert not isinstance(ask_one(slapd, lab, base, "hidden@example.test"), Found | TemporaryError)
    wrong = ask_one(slapd, lab, login.replace("top secret", "wr ong"), "hidden@example.test")
    assert isinstance(wrong, TemporaryError)
    assert "Unable to bind" in wrong.cause
    assert "49" in wrong.cause
    assert not any("wr ong" in each or "top secret" in each for each in lab.warnings)


def test_sasl_external_over_the_socket(slapd, lab):
    text = f"server_host = {slapd.url}\nversion = 3\nbind = sasl\nsasl_mechs = EXTERNAL\n"
    answer = ask_one(slapd, lab, text + "query_filter = mail=%s\nresult_attribute = uid\n", "hidden@example.test")
    assert answer == Found("hidden", answer.source)
    assert isinstance(ask_one(slapd, lab, text.replace("EXTERNAL", "GSSAPI"), "x"), TemporaryError)
    assert any("only EXTERNAL and PLAIN" in each for each in lab.warnings)


def test_sasl_plain(slapd, lab):
    text = "version = 3\nbind = sasl\nsasl_mechs = DIGEST-MD5 PLAIN\nbind_dn = reader\nbind_pw = ses ame\n"
    text += "query_filter = mail=%s\nresult_attribute = uid\n"
    answer = ask_one(slapd, lab, text, "hidden@example.test")
    assert answer == Found("hidden", answer.source)
    wrong = ask_one(slapd, lab, text.replace("ses ame", "wr ong"), "hidden@example.test")
    assert isinstance(wrong, TemporaryError)
    assert not any("wr ong" in each for each in lab.warnings)


@pytest.mark.parametrize("start_tls", [True, False])
def test_tls_with_the_servers_certificate_checked(slapd, lab, start_tls):
    port = slapd.port if start_tls else slapd.tls_port
    server = (
        f"server_host = ldap{'' if start_tls else 's'}://localhost:{port}\nstart_tls = {'yes' if start_tls else 'no'}\n"
    )
    query = "version = 3\nquery_filter = mail=%s\nresult_attribute = uid\ntls_require_cert = yes\n"
    answer = ask_one(slapd, lab, server + query + f"tls_ca_cert_file = {slapd.ca}\n", "alice@example.test")
    assert answer == Found("alice", answer.source)
    untrusted = ask_one(slapd, lab, server + query, "alice@example.test")
    assert isinstance(untrusted, TemporaryError)
    assert "certificate verify failed" in untrusted.cause
    wrong_name = (server + query).replace("localhost", "127.0.0.2")
    assert isinstance(ask_one(slapd, lab, wrong_name + f"tls_ca_cert_file = {slapd.ca}\n", "x"), TemporaryError)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("query_filter = mail=*\nresult_attribute = mail\nexpansion_limit = 2\nsize_limit = 0\n", "limit"),
        ("query_filter = mail=*\nresult_attribute = uid\nsize_limit = 2\nversion = 3\n", "Search error 4"),
        ("query_filter = mail=%s\nspecial_result_attribute = member\nrecursion_limit = 3\n", "Recursion limit"),
        ("query_filter = mail=%s)(\n", "bad search filter"),
        ("query_filter = mail=%s\nsearch_base = ou=nowhere,dc=example,dc=test\n", "not found"),
        ("query_filter = mail=%s\nsearch_base = ou=far,dc=example,dc=test\nversion = 3\n", "Search error 10"),
        (
            "query_filter = mail=%s\nsearch_base = ou=far,dc=example,dc=test\nversion = 3\nchase_referrals = 1\n",
            "refused",
        ),
        ("server_host = ldap://127.0.0.1:1\n", "refused"),
        ("scope = base\nsearch_base = nonsense\nquery_filter = mail=%s\n", "Search error 34"),
    ],
)
def test_what_cannot_be_answered_is_a_temporary_error(slapd, lab, text, words):
    answer = ask_one(slapd, lab, text, "loop@example.test")
    assert isinstance(answer, TemporaryError)
    assert words.lower() in answer.cause.lower()
    assert any(words.lower() in each.lower() for each in lab.warnings)


def test_the_next_server_answers_when_the_first_is_down(slapd, lab):
    hosts = f"server_host = ldap://127.0.0.1:1, localhost:{slapd.port}\n"
    text = hosts + "version = 3\nquery_filter = mail=%s\nresult_attribute = uid\n"
    answer = ask_one(slapd, lab, text, "alice@example.test")
    assert answer == Found("alice", answer.source)


def ask_one(slapd, lab, text, key):
    start = "" if "server_host" in text else f"server_host = ldap://127.0.0.1:{slapd.port}\n"
    base = "" if "search_base" in text else "search_base = dc=example,dc=test\n"
    return lab.ask("ldap:" + lab.table("one.cf", start + base + text), key)[0]


NASTY = "'\"\\%_;-/*#`$(){}[]=<>+,&|!~:\n\r\t\x01\x7f aZ0@.é漢\U0001f600"


def test_any_text_goes_into_a_filter_and_a_base_as_one_value(slapd, lab):
    chance = random.Random(5)
    keys = ["".join(chance.choices(NASTY, k=chance.randint(1, 30))) for _ in range(500)]
    start = f"server_host = {slapd.url}\nversion = 3\nresult_attribute = uid\n"
    query = "search_base = dc=example,dc=test\nquery_filter = (|(uid=alice)(cn=%s)(mail=%s))\n"
    answers = lab.ask("ldap:" + lab.table("filter.cf", start + query), *keys)
    assert {answer.value for answer in answers} == {"alice"}
    query = "search_base = uid=%s,ou=people,dc=example,dc=test\nscope = base\nquery_filter = objectClass=*\n"
    answers = lab.ask("ldap:" + lab.table("base.cf", start + query), *keys)
    assert set(answers) == {NOT_FOUND}
