"""What the tables over SQL, LDAP and memcache share: their parameters, ``%`` templates, server pools and one lookup."""
