"""smtp_tls_session_cache_database: sessions of TLS are taken up again, by the place and the policy that made them."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.certificates import make
from tests.unit.agents.smtp.fakes import Bench, FakeServer

from angarium.agents.smtp.parameters import SmtpParameters
from angarium.config.config import Config
from angarium.model.delivery import Status
from angarium.runtime.tls import ClientTls, SecurityLevel, ServerTls, server_context
from angarium.runtime.tlsresume import ResumingContext


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    root = make("Test CA", authority=True)
    root.write(directory, "ca")
    make("localhost", root, names=("localhost",)).write(directory, "server")
    return directory


def deliveries(keys, *steps, lifetime=3600.0, level=SecurityLevel.MAY, newest="TLSv1.3"):
    """One delivery for each step, a change to the bench: whether each went over a session that was there before."""

    async def scenario():
        async with FakeServer() as server:
            server.ehlo.append("STARTTLS")
            chain = (str(keys / "server.chain"),)
            server.context = server_context(ServerTls(chain_files=chain, protocols=f"<={newest}"))
            tls = ClientTls(level, ca_file=str(keys / "ca.pem"), session_lifetime=lifetime)
            async with Bench(
                tls_level=level, tls=tls, tls_loglevel=1, tls_verify_match=("localhost",), tcp_port=server.port
            ) as bench:
                for step in steps:
                    step(bench)
                    assert (await bench.one(f"[127.0.0.1]:{server.port}")).status is Status.SENT
                return server.resumed

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def nothing(_bench):
    pass


@pytest.mark.parametrize("newest", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("level", [SecurityLevel.MAY, SecurityLevel.ENCRYPT, SecurityLevel.VERIFY])
def test_the_second_session_goes_on_from_the_first(keys, level, newest):
    assert deliveries(keys, nothing, nothing, nothing, level=level, newest=newest) == [False, True, True]


def test_without_the_parameter_each_begins_anew(keys):
    assert deliveries(keys, nothing, nothing, lifetime=0.0) == [False, False]


def test_what_is_too_old_or_of_another_place_is_not_offered():
    now = [100.0]
    context = ResumingContext.make(60.0, lambda: now[0])

    class Session:
        has_ticket = True
        id = b"x"

    class Tls:
        session = Session()

        def version(self):
            return "TLSv1.3"

    context.remember("a", Tls())
    assert context._take("b") is None
    assert context._take("a") is Tls.session
    assert context._take("a") is None
    context.remember("a", Tls())
    now[0] += 61
    assert context._take("a") is None
    for number in range(3000):
        context.remember(str(number), Tls())
    assert len(context._sessions) == 1024


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 0.0),
        ({"smtp_tls_session_cache_database": "btree:/x"}, 3600.0),
        ({"smtp_tls_session_cache_database": "btree:/x", "smtp_tls_session_cache_timeout": "1s"}, 120.0),
        ({"smtp_tls_session_cache_database": "btree:/x", "smtp_tls_session_cache_timeout": "0"}, 0.0),
    ],
)
def test_main_cf(settings, expected):
    assert SmtpParameters.from_config(Config.of(settings)).tls.session_lifetime == expected
