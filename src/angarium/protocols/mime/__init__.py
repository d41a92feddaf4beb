"""MIME: where the parts of a message lie, what its header fields say, and how IMAP writes both. No I/O."""
