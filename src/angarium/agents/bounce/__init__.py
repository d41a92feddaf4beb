"""The bounce agent: what senders and the postmaster are told of mail that failed, waits or has arrived."""
