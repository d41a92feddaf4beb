from angarium.agents.smtp.debugpeer import DebugPeerSession


def test_a_conversation_in_pieces_and_without_secrets():
    lines = []
    session = DebugPeerSession("mx[192.0.2.1]:25", lines.append)
    for piece in (b"220 mx ESM", b"TP\r\n"):
        session.receive_data(piece)
    session.hello("me.test")
    session.output()
    session.receive_data(b"250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE\r\n")
    session.auth("LOGIN")
    session.output()
    session.receive_data(b"334 VXNlcm5hbWU6\r\n")
    session.auth_response("c2VjcmV0")
    session.output()
    session.receive_data(b"535 n\xe9 no\r\n")
    session.auth("PLAIN", "c2VjcmV0")
    session.output()
    assert lines == [
        "< mx[192.0.2.1]:25: 220 mx ESMTP",
        "> mx[192.0.2.1]:25: EHLO me.test",
        "< mx[192.0.2.1]:25: 250-mx",
        "< mx[192.0.2.1]:25: 250-AUTH PLAIN LOGIN",
        "< mx[192.0.2.1]:25: 250 SIZE",
        "> mx[192.0.2.1]:25: AUTH LOGIN",
        "< mx[192.0.2.1]:25: 334 VXNlcm5hbWU6",
        "> mx[192.0.2.1]:25: ...",
        "< mx[192.0.2.1]:25: 535 n? no",
        "> mx[192.0.2.1]:25: AUTH PLAIN ...",
    ]


def test_an_endless_line_is_not_kept():
    lines = []
    session = DebugPeerSession("mx[192.0.2.1]:25", lines.append)
    for _ in range(100):
        session.receive_data(b"x" * 1000)
    assert len(session._begun) < 4096
