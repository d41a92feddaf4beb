import ssl
import stat

from angarium.runtime.authority import Authority


def test_a_server_certificate_is_trusted_by_who_trusts_the_root(tmp_path):
    root = Authority.ensure(tmp_path, "test CA")
    certificate, key = root.issue(tmp_path, ("mail.example.test", "127.0.0.1"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(root.certificate))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="mail.example.test")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert ours.version() == "TLSv1.3"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_second_call_keeps_what_is_there(tmp_path):
    first = Authority.ensure(tmp_path, "test CA").certificate.read_bytes()
    assert Authority.ensure(tmp_path, "test CA").certificate.read_bytes() == first
