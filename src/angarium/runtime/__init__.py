"""Operating system and network, no mail: services, IPC, TLS, DNS, SQL, logging."""
