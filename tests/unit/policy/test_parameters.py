"""What the policy reads of master.cf."""

from __future__ import annotations

from angarium.config.config import Config
from angarium.policy.parameters import PolicyParameters


def test_only_mailboxes_of_the_mailstore_have_quotas(tmp_path):
    assert PolicyParameters.from_config(Config.of(directory=tmp_path)).mailstore_transports == {"virtual"}
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text(
        "virtual unix - n n - - virtual\nsecond unix - n n - - virtual\n"
        "files unix - n n - - virtual -o virtual_mailbox_format=files\nlmtp unix - n n - - lmtp\n"
    )
    assert PolicyParameters.from_config(Config.load(tmp_path)).mailstore_transports == {"virtual", "second"}
