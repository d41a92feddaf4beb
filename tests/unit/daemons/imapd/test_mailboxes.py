"""LIST and its family, CREATE to UNSUBSCRIBE, STATUS, NAMESPACE, quota."""

from __future__ import annotations


def names(responses):
    return [line.split(b' "/" ')[1] for line in responses[:-1]]


def test_special_folders_are_there_from_the_start(connect):
    client = connect()
    listed = client.ok('LIST "" *')
    assert names(listed) == [b"INBOX", b"Archive", b"Drafts", b"Junk", b"Sent", b"Trash"]
    assert b'* LIST (\\HasNoChildren \\Sent) "/" Sent' in listed
    assert b"INBOX" not in names(client.ok('LIST (SPECIAL-USE) "" *'))
    assert client.ok('LIST "" ""') == [b'* LIST (\\Noselect) "/" ""', b"OK List completed."]


def test_thunderbird_and_roundcube_lists(connect):
    client = connect()
    line = client.ok('list (subscribed) "" "*" return (special-use)')[1]
    assert line == b'* LIST (\\HasNoChildren \\Archive \\Subscribed) "/" Archive'
    client.ok('LIST (SPECIAL-USE) "" "*" RETURN (SUBSCRIBED)')
    both = client.ok('LIST "" (INBOX Sent) RETURN (STATUS (MESSAGES UIDNEXT))')
    assert both[1] == b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1)"
    assert names(client.ok('LIST "in" "box"')) == [b"INBOX"]


def test_create_rename_delete(connect):
    client = connect()
    client.ok("CREATE a/b/c")
    assert names(client.ok('LIST "" a*')) == [b"a", b"a/b", b"a/b/c"]
    assert client.last("CREATE a/b/c").startswith(b"NO [ALREADYEXISTS]")
    assert client.last("CREATE INBOX").startswith(b"NO [ALREADYEXISTS]")
    assert client.last("CREATE a//b").startswith(b"NO [CANNOT]")
    client.ok("RENAME a/b x")
    assert b"x/c" in names(client.ok('LIST "" *'))
    assert client.last("RENAME nowhere y").startswith(b"NO [NONEXISTENT]")
    client.ok("DELETE x/c")
    assert client.last("DELETE x/c").startswith(b"NO [NONEXISTENT]")
    assert client.last("DELETE INBOX").startswith(b"NO [CANNOT]")


def test_names_beyond_ascii(connect):
    client = connect()
    client.ok("CREATE &U,BTFw-")
    assert names(client.ok('LIST "" "&U,BTFw-*"')) == [b"&U,BTFw-"]
    assert client.ok("ENABLE UTF8=ACCEPT")[0] == b"* ENABLED UTF8=ACCEPT"
    assert '"台北"'.encode() in names(client.ok('LIST "" *'))
    assert client.ok('STATUS "台北" (MESSAGES)'.encode())[0] == '* STATUS "台北" (MESSAGES 0)'.encode()


def test_create_with_a_special_use(connect):
    client = connect()
    client.ok("CREATE Old (USE (\\Archive))")
    assert client.last("CREATE Odd (USE (\\Nonsense))").startswith(b"NO [USEATTR]")


def test_subscriptions(connect):
    client = connect()
    client.ok("CREATE a/b")
    client.ok("SUBSCRIBE a/b")
    assert b'* LSUB (\\Noselect) "/" a' in client.ok('LSUB "" %')
    assert b'* LIST (\\Noselect \\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))' in client.ok(
        'LIST (SUBSCRIBED RECURSIVEMATCH) "" %'
    )
    client.ok("DELETE a/b")
    assert b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" a/b' in client.ok('LIST (SUBSCRIBED) "" a/*')
    client.ok("UNSUBSCRIBE a/b")
    assert b"a/b" not in names(client.ok('LSUB "" *'))
    assert client.last("SUBSCRIBE nowhere").startswith(b"NO [NONEXISTENT]")


def test_status_namespace_and_quota(connect):
    client = connect()
    client.append(options="(\\Deleted)")
    assert client.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE)")[0] == (
        b"* STATUS INBOX (MESSAGES 1 RECENT 1 UIDNEXT 2 UNSEEN 1 DELETED 1 SIZE 117)"
    )
    assert client.last("STATUS Drafts2 (MESSAGES)").startswith(b"NO [NONEXISTENT]")
    assert client.ok("NAMESPACE")[0] == b'* NAMESPACE (("" "/")) NIL NIL'
    assert client.ok("GETQUOTAROOT INBOX")[:2] == [b'* QUOTAROOT INBOX "User quota"', b'* QUOTA "User quota" ()']
    assert client.last('SETQUOTA "User quota" (STORAGE 1)').startswith(b"NO [NOPERM]")
    assert client.last('GETQUOTA "x"').startswith(b"NO [NONEXISTENT]")


def test_id_and_enable(connect):
    client = connect()
    assert client.ok('ID ("name" "mutt")')[0] == b'* ID ("name" "Angarium")'
    assert client.ok("ENABLE X-NONSENSE CONDSTORE")[0] == b"* ENABLED CONDSTORE"


def test_a_mailbox_that_is_deleted_under_a_session(connect):
    one, two = connect(), connect()
    one.ok("CREATE x")
    one.append(mailbox="x")
    two.ok("SELECT x")
    one.ok("DELETE x")
    assert two.ok("NOOP")[0] == b"* 1 EXPUNGE"
