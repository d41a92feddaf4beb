"""From a received transaction to the final envelope and the header prefix: cleanup(8)."""
