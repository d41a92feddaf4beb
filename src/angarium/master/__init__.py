"""The supervisor: sockets, workers, privileges, reload. It parses nothing that comes from the network."""
