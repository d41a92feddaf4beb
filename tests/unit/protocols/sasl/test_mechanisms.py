"""PLAIN and LOGIN, whole exchanges and malformed ones."""

from __future__ import annotations

import base64
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from angarium.protocols.sasl.framing import decode_initial, decode_response
from angarium.protocols.sasl.mechanisms import mechanism
from angarium.protocols.sasl.session import SaslExchange
from angarium.protocols.sasl.types import Challenge, Credentials, Fault, SaslError, Secret


def test_plain_with_an_initial_response() -> None:
    # RFC 4616 section 4
    method = mechanism("plain")
    assert method is not None
    assert method.start(b"\0tim\0tanstaaftanstaaf") == Credentials("", "tim", Secret("tanstaaftanstaaf"))


def test_plain_asks_for_the_message() -> None:
    exchange = SaslExchange.named("PLAIN")
    assert exchange is not None
    assert exchange.start(None) == Challenge(b"")
    assert exchange.receive(base64.b64encode(b"tim\0tim\0x")) == Credentials("tim", "tim", Secret("x"))
    assert exchange.method == "PLAIN"


def test_plain_refuses_to_act_for_another() -> None:
    method = mechanism("PLAIN")
    assert method is not None
    step = method.start(b"ursel\0kurt\0xipj3plmq")
    assert isinstance(step, SaslError)
    assert step.fault is Fault.AUTHORIZATION


@pytest.mark.parametrize(
    "message", [b"", b"\0", b"a", b"\0u\0", b"\0\0p", b"\0u\0p\0", b"a\0b", b"\0\xff\0p", b"\0u\0" + b"p" * 4097]
)
def test_plain_malformed(message: bytes) -> None:
    method = mechanism("PLAIN")
    assert method is not None
    step = method.start(message)
    assert isinstance(step, SaslError)
    assert step.fault is Fault.SYNTAX


def test_login_in_three_steps() -> None:
    exchange = SaslExchange.named("login")
    assert exchange is not None
    assert exchange.start(None) == Challenge(base64.b64encode(b"Username:"))
    assert exchange.receive(base64.b64encode(b"alice")) == Challenge(base64.b64encode(b"Password:"))
    assert exchange.receive(base64.b64encode("geheim¤".encode())) == Credentials("", "alice", Secret("geheim¤"))


def test_login_with_the_name_at_once() -> None:
    exchange = SaslExchange.named("LOGIN")
    assert exchange is not None
    assert exchange.start(base64.b64encode(b"alice")) == Challenge(base64.b64encode(b"Password:"))
    assert exchange.receive(base64.b64encode(b"pw")) == Credentials("", "alice", Secret("pw"))


def test_login_with_an_empty_initial_response_asks() -> None:
    exchange = SaslExchange.named("LOGIN")
    assert exchange is not None
    assert exchange.start(b"=") == Challenge(base64.b64encode(b"Username:"))


@pytest.mark.parametrize("answers", [[b""], [b"a\0b"], [b"a", b""], [b"a", b"p\0"], [b"\xff"]])
def test_login_malformed(answers: list[bytes]) -> None:
    method = mechanism("LOGIN")
    assert method is not None
    step = method.start(None)
    for answer in answers:
        step = method.step(answer)
    assert isinstance(step, SaslError)


def test_unknown_mechanism() -> None:
    assert mechanism("CRAM-MD5") is None
    assert SaslExchange.named("XOAUTH2") is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"*", Fault.CANCELLED),
        (b"AG\n==", Fault.ENCODING),
        (b"AG", Fault.ENCODING),
        (b"A G=", Fault.ENCODING),
        (b"A=G=", Fault.ENCODING),
        (b"=", Fault.ENCODING),
        (b"A" * 12292, Fault.TOO_LONG),
    ],
)
def test_bad_lines(line: bytes, fault: Fault) -> None:
    outcome = decode_response(line)
    assert isinstance(outcome, SaslError)
    assert outcome.fault is fault


def test_empty_initial_response() -> None:
    assert decode_initial(b"=") == b""
    assert decode_response(b"") == b""


def test_a_secret_does_not_print() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {Credentials('', 'u', secret)!r}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert secret.reveal() == "hunter2"


@settings(max_examples=100)
@given(
    st.sampled_from(["PLAIN", "LOGIN"]),
    st.none() | st.binary(max_size=64),
    st.lists(st.binary(max_size=64), max_size=4),
)
def test_any_input_ends_in_one_of_three(name: str, initial: bytes | None, lines: list[bytes]) -> None:
    exchange = SaslExchange.named(name)
    assert exchange is not None
    step = exchange.start(initial)
    for line in lines:
        if not isinstance(step, Challenge):
            break
        step = exchange.receive(line)
    assert isinstance(step, (Challenge, Credentials, SaslError))
    if isinstance(step, Credentials):
        assert step.user
        assert "\0" not in step.user + step.password.reveal()


_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=100)


@settings(max_examples=100)
@given(_TEXT, _TEXT)
def test_both_mechanisms_carry_any_text(user: str, password: str) -> None:
    plain = SaslExchange.named("PLAIN")
    login = SaslExchange.named("LOGIN")
    assert plain is not None
    assert login is not None
    wanted = Credentials("", user, Secret(password))
    assert plain.start(base64.b64encode(f"\0{user}\0{password}".encode())) == wanted
    login.start(base64.b64encode(user.encode()))
    assert login.receive(base64.b64encode(password.encode())) == wanted
