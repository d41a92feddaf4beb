"""What agents of final delivery share: rights, mailbox files, commands, and how root's process is asked."""
