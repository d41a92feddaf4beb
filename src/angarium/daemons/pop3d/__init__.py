"""pop3d: POP3 on the mailstore. Depends on nothing of its siblings."""
