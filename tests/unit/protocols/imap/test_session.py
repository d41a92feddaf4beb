"""Commands as the session tells them; one bad command costs one command."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.imap import session as events
from angarium.protocols.imap import types as t
from angarium.protocols.imap.sequence import SequenceSet
from angarium.protocols.imap.session import ImapSession
from angarium.protocols.imap.states import COMMANDS, State


def make(state=State.SELECTED, **limits):
    session = ImapSession(**limits)
    session.state = state
    return session


def act(session):
    """All events there are, answered as the daemon would: messages are accepted."""
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
        if isinstance(event, events.AppendLiteral):
            session.accept_message()
        elif isinstance(event, events.CommandReceived):
            if event.command.verb == "IDLE":
                session.expect_done()
            elif event.command.verb == "AUTHENTICATE":
                session.expect_sasl()
    return found


def parse(line, state=State.SELECTED, *, utf8=False):
    """The one event of a line; the same byte by byte."""
    session = make(state)
    session.utf8 = utf8
    session.receive_data(line + b"\r\n")
    at_once = act(session)
    session = make(state)
    session.utf8 = utf8
    bytewise = []
    for byte in line + b"\r\n":
        session.receive_data(bytes([byte]))
        bytewise += act(session)
    assert at_once == bytewise
    (event,) = [event for event in at_once if not isinstance(event, events.LiteralWanted)]
    return event


def command(line, state=State.SELECTED, *, utf8=False):
    event = parse(line, state, utf8=utf8)
    assert isinstance(event, events.CommandReceived), event
    return event.command


def bad(line, state=State.SELECTED):
    event = parse(line, state)
    assert isinstance(event, events.BadCommand), event
    return event


@pytest.mark.parametrize("verb", ["CAPABILITY", "NOOP", "LOGOUT", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "NAMESPACE"])
def test_simple_commands_in_any_case(verb):
    assert command(b"a1 " + verb.lower().encode()) == t.Simple(b"a1", verb)


def test_every_verb_is_bad_outside_its_states():
    for verb, valid in COMMANDS.items():
        for state in (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED, State.LOGOUT):
            if not state & valid:
                assert bad(b"x " + verb.encode(), state).text == "Command not valid in this state"


def test_login_with_literals_and_quotes():
    for line in (b"a login bob secret", b'a LOGIN "bob" "secret"', b"a Login {3}\r\nbob {6+}\r\nsecret"):
        login = command(line, State.NOT_AUTHENTICATED)
        assert (login.user, login.password) == (b"bob", b"secret")
        assert "secret" not in repr(login)


def test_quoted_strings_are_unescaped():
    assert command(rb'a LOGIN "a\"b\\c" ""', State.NOT_AUTHENTICATED).user == rb'a"b\c'


def test_authenticate():
    plain = command(b"a authenticate plain AGJvYgBwdw==", State.NOT_AUTHENTICATED)
    assert (plain.mechanism, plain.initial) == ("PLAIN", b"AGJvYgBwdw==")
    assert command(b"a AUTHENTICATE LOGIN", State.NOT_AUTHENTICATED).initial is None


def test_sasl_lines_are_no_commands():
    session = make(State.NOT_AUTHENTICATED)
    session.receive_data(b"a AUTHENTICATE PLAIN\r\nAGJvYgBwdw==\r\nb NOOP\r\n")
    _, response, noop = act(session)
    assert response.data == b"AGJvYgBwdw=="
    assert "AGJv" not in repr(response)
    assert noop.command.verb == "NOOP"


def test_idle_ends_with_done():
    session = make()
    session.receive_data(b"a IDLE\r\ndone\r\n")
    assert act(session)[1] == events.IdleDone(True)
    session.receive_data(b"b IDLE\r\nc NOOP\r\n")
    assert act(session)[1] == events.IdleDone(False)


@pytest.mark.parametrize(
    ("line", "mailbox"),
    [
        (b"inbox", "INBOX"),
        (b'"iNbOx"', "INBOX"),
        (b"inbox/sub", "INBOX/sub"),
        (b"{5+}\r\na]b&-", "a]b&"),
        (b"&U,BTFw-", "台北"),
        (b'"with space"', "with space"),
    ],
)
def test_mailbox_names(line, mailbox):
    assert command(b"a SELECT " + line) == t.Select(b"a", "SELECT", mailbox, False, False)


def test_mailbox_names_in_utf8():
    assert command('a EXAMINE "Büro"'.encode(), utf8=True).mailbox == "Büro"
    assert "UTF-7" in bad('a EXAMINE "Büro"'.encode()).text


@pytest.mark.parametrize(
    ("line", "items"),
    [
        (b"all", ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE")),
        (b"FAST", ("FLAGS", "INTERNALDATE", "RFC822.SIZE")),
        (b"(uid Flags)", ("UID", "FLAGS")),
        (b"body", ("BODY",)),
        (b"bodystructure", ("BODYSTRUCTURE",)),
    ],
)
def test_fetch_items(line, items):
    assert tuple(item.value for item in command(b"a FETCH 1:* " + line).items) == items


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"BODY[]", t.Section(b"BODY[]", t.SectionKind.ALL)),
        (b"body.peek[text]<0.2048>", t.Section(b"BODY[TEXT]<0>", t.SectionKind.TEXT, (), (), 0, 2048, True)),
        (b"BODY.PEEK[2.mime]", t.Section(b"BODY[2.MIME]", t.SectionKind.MIME, (2,), peek=True)),
        (b"BODY[1.2]", t.Section(b"BODY[1.2]", t.SectionKind.ALL, (1, 2))),
        (
            b'BODY[1.HEADER.FIELDS (to "x-a b")]',
            t.Section(b'BODY[1.HEADER.FIELDS (TO "X-A B")]', t.SectionKind.FIELDS, (1,), ("to", "x-a b")),
        ),
        (b"RFC822.HEADER", t.Section(b"RFC822.HEADER", t.SectionKind.HEADER, peek=True)),
        (b"RFC822", t.Section(b"RFC822", t.SectionKind.ALL)),
    ],
)
def test_fetch_sections(line, expected):
    assert command(b"a FETCH 1 " + line).items == (expected,)


def test_uid_fetch_tells_the_uid_and_changedsince_the_modseq():
    fetch = command(b"a UID FETCH 6:*,3 (FLAGS) (CHANGEDSINCE 12345)")
    assert fetch.numbers == SequenceSet(((6, 0), (3, 3)))
    assert fetch.items == (t.FetchItem.UID, t.FetchItem.FLAGS, t.FetchItem.MODSEQ)
    assert fetch.changed_since == 12345


def test_store():
    store = command(b"a uid store 1:3 +Flags.Silent (\\FLAGGED Work)")
    assert (store.operation, store.silent, store.flags) == (t.StoreOperation.ADD, True, {"\\Flagged", "Work"})
    assert command(b"a STORE 1 FLAGS \\Seen \\Deleted").flags == {"\\Seen", "\\Deleted"}
    assert command(b"a STORE 1 (UNCHANGEDSINCE 9) -FLAGS ()").unchanged_since == 9


def test_copy_and_move():
    assert command(b"a MOVE $ Trash") == t.Copy(b"a", "MOVE", False, SequenceSet((), saved=True), "Trash", True)
    assert command(b"a UID COPY 7 Archive").uid


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b"ALL", t.SearchAll()),
        (b"5", t.SearchSet(SequenceSet(((5, 5),)), uid=False)),
        (b"uid 1:*", t.SearchSet(SequenceSet(((1, 0),)), uid=True)),
        (b"unseen", t.SearchFlag("\\Seen", False)),
        (b"KEYWORD $junk", t.SearchFlag("$Junk", True)),
        (b'FROM "ann"', t.SearchHeader("From", "ann")),
        (b'HEADER X-Spam ""', t.SearchHeader("X-Spam", "")),
        (b"NOT (SEEN)", t.SearchNot(t.SearchFlag("\\Seen", True))),
        (b"OR BODY a TEXT b", t.SearchOr(t.SearchText("a", False), t.SearchText("b", True))),
        (b"SENTON 2-feb-2024", t.SearchWhen(t.SearchDate.SENT, t.SearchOperator.ON, dt.date(2024, 2, 2))),
        (b'SINCE "12-Feb-2024"', t.SearchWhen(t.SearchDate.INTERNAL, t.SearchOperator.SINCE, dt.date(2024, 2, 12))),
        (b"LARGER 10", t.SearchSize(t.SearchOperator.LARGER, 10)),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', t.SearchModseq(620162338)),
        (b"DELETED DRAFT", t.SearchAnd((t.SearchFlag("\\Deleted", True), t.SearchFlag("\\Draft", True)))),
        ("CHARSET utf-8 SUBJECT {2+}\r\nü".encode(), t.SearchHeader("Subject", "ü")),
        (b"charset iso-8859-1 subject {1+}\r\n\xfc", t.SearchHeader("Subject", "ü")),
    ],
)
def test_search_keys(line, key):
    assert command(b"a SEARCH " + line).key == key


def test_search_returns_and_charsets():
    search = command(b"a UID SEARCH RETURN (MIN Count) CHARSET UTF-8 1,3 UNSEEN")
    assert (search.uid, search.returns) == (True, {"MIN", "COUNT"})
    assert command(b"a SEARCH RETURN () ALL").returns == {"ALL"}
    assert command(b"a SEARCH CHARSET klingon SUBJECT x").unknown_charset
    assert command(b"a SEARCH OR MODSEQ 5 NOT SEEN").wants_modseq


def test_search_nesting_is_bounded():
    assert "deeply" in bad(b"a SEARCH " + b"(" * 5000 + b"ALL" + b")" * 5000).text
    assert "deeply" in bad(b"a SEARCH " + b"NOT " * 5000 + b"ALL").text


def test_list_old_and_new():
    assert command(b'a list "" *') == t.List(b"a", "LIST", "", ("*",))
    listing = command(b'a list (subscribed) "" ("INBOX" "%") return (special-use status (messages unseen))')
    assert listing.patterns == ("INBOX", "%")
    assert (listing.selection, listing.returns) == ({"SUBSCRIBED"}, {"SPECIAL-USE"})
    assert listing.status == ("MESSAGES", "UNSEEN")


def test_create_with_use_and_select_with_condstore():
    assert command(b"a CREATE Old (USE (\\Archive))").special_use == ("\\Archive",)
    assert command(b"a SELECT x (CONDSTORE)").condstore


def test_id():
    assert command(b'a ID ("name" "x" "version" NIL)').fields == ((b"name", b"x"), (b"version", None))
    assert command(b"a ID nil").fields == ()


def test_append_with_everything():
    session = make()
    session.receive_data(b'a APPEND {5}\r\nSaved (\\Seen) " 1-Feb-2024 03:04:05 +0130" {5+}\r\nhello\r\nb NOOP\r\n')
    found = act(session)
    assert found[0] == events.LiteralWanted()
    assert found[1].command.mailbox == "Saved"
    message = found[1].message
    assert (message.flags, message.zone, message.size) == ({"\\Seen"}, 90, 5)
    assert message.moment == dt.datetime(2024, 2, 1, 1, 34, 5, tzinfo=dt.UTC).timestamp()
    assert found[2:4] == [events.MessageData(b"hello", True), events.AppendComplete()]
    assert found[4].command.verb == "NOOP"


def test_multiappend():
    session = make()
    session.receive_data(b"a APPEND Saved {1+}\r\nx (\\Seen) {1+}\r\ny\r\n")
    first, _, second, _, end = act(session)
    assert (first.command.mailbox, second.command, second.message.flags) == ("Saved", None, {"\\Seen"})
    assert end == events.AppendComplete()


def test_append_utf8_after_enable():
    session = make()
    session.utf8 = True
    session.receive_data(b"a APPEND Saved UTF8 (~{3+}\r\nx\xc3\xbc)\r\n")
    literal, data, end = act(session)
    assert literal.message.utf8
    assert (data.data, end) == (b"x\xc3\xbc", events.AppendComplete())
    assert isinstance(bad(b"a APPEND Saved UTF8 (~{3+}\r\nx\xc3\xbc)"), events.BadCommand)


def test_a_bad_append_costs_itself():
    session = make()
    session.receive_data(b"a APPEND Saved (\\Nonsense) {6+}\r\nb NO\r\n\r\nc NOOP\r\n")
    refused, noop = act(session)
    assert (refused.tag, noop.command.tag) == (b"a", b"c")
    session.receive_data(b"d APPEND Saved {3+}\r\nabc junk\r\ne NOOP\r\n")
    assert [type(event) for event in act(session)][2:] == [events.BadCommand, events.CommandReceived]


def test_an_append_before_login_is_refused_without_its_message():
    session = make(State.NOT_AUTHENTICATED)
    session.receive_data(b"a APPEND INBOX {10}\r\nb NOOP\r\n")
    refused, noop = act(session)
    assert (refused.tag, noop.command.verb) == (b"a", "NOOP")


def test_literals_are_bounded_together():
    session = make(literal_limit=10, skip_limit=100)
    session.receive_data(b"a LOGIN {6+}\r\n123456 {6+}\r\nabcdef\r\nb NOOP\r\nc X {101+}\r\n")
    refused, noop, end = act(session)
    assert (refused.tag, noop.command.tag) == (b"a", b"b")
    assert end == events.HangUp("Literal too large")


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        b" NOOP",
        b"+ NOOP",
        b"a  NOOP",
        b"a NOOP x",
        b"a FETCH 1",
        b"a FETCH 0 FLAGS",
        b"a FETCH 1 ()",
        b"a FETCH 1 BODY[",
        b"a FETCH 1 BODY[MIME]",
        b"a FETCH 1 BODY[1.]",
        b"a FETCH 1 BODY[HEADER.FIELDS ()]",
        b"a FETCH 1 BODY[]<1>",
        b"a FETCH 4294967296 FLAGS",
        b"a STORE 1 FLAGS (\\Recent)",
        b"a STORE 1 FLAG (\\Seen)",
        b"a SEARCH",
        b"a SEARCH NONSENSE",
        b"a SEARCH OR SEEN",
        b"a SEARCH SINCE 31-Feb-2024",
        b"a SEARCH SUBJECT {1+}\r\n\xff",
        b'a LIST (RECURSIVEMATCH) "" *',
        b"a STATUS INBOX ()",
        b"a STATUS INBOX (PONIES)",
        b"a SELECT a\0b",
        b"a SELECT {3+}\r\na\0b",
        b'a SELECT "a\nb"'.replace(b"\n", b"\x00"),
        b"a UID EXPUNGE",
        b"a UID NOOP",
        b"a SELECT {1}x",
        b"a ENABLE",
        b"a\x80 NOOP",
    ],
)
def test_bad_commands(line):
    assert bad(line).text


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [
                    b"\r\n",
                    b"a ",
                    b"UID FETCH 1:* (FLAGS ",
                    b"BODY[1.2.MIME]<0.5>",
                    b")",
                    b"SEARCH OR ",
                    b"(",
                    b"{3+}\r\n",
                    b"{3}\r\n",
                    b"APPEND x ",
                    b" SEEN",
                    b"IDLE\r\n",
                    b'LIST "" *',
                ]
            ),
        ),
        max_size=25,
    )
)
def test_whatever_comes_the_stream_stays_in_step(pieces):
    session = make(line_limit=2000, literal_limit=100, skip_limit=1000)
    whole = b"".join(pieces)
    session.receive_data(whole)
    found = act(session)
    again = make(line_limit=2000, literal_limit=100, skip_limit=1000)
    bytewise = []
    for at in range(len(whole)):
        again.receive_data(whole[at : at + 1])
        bytewise += act(again)

    def told(all_events):
        return [event for event in all_events if not isinstance(event, events.MessageData)]

    assert told(found) == told(bytewise)


@pytest.mark.parametrize(
    ("lenient", "strict"),
    [
        (b"a FETCH  1  FLAGS ", b"a FETCH 1 FLAGS"),
        (b"a FETCH 1 ( FLAGS  UID )", b"a FETCH 1 (FLAGS UID)"),
        (b"a FETCH 1 BODY.PEEK[HEADER.FIELDS  ( Subject )]", b"a FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]"),
        (b"a STORE 1  +FLAGS ( \\Seen  \\Draft )", b"a STORE 1 +FLAGS (\\Seen \\Draft)"),
        (b"a SEARCH  UNSEEN  ( SEEN ) ", b"a SEARCH UNSEEN (SEEN)"),
        (b"a SELECT  INBOX ", b"a SELECT INBOX"),
        (b"a STATUS  INBOX  ( MESSAGES )", b"a STATUS INBOX (MESSAGES)"),
        (b'a LIST ""  "*" ', b'a LIST "" "*"'),
        (b"a NOOP ", b"a NOOP"),
    ],
)
def test_blanks_more_than_there_should_be_do_no_harm(lenient, strict):
    assert command(lenient) == command(strict)
