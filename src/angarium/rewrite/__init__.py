"""Address rewriting and resolution: trivial-rewrite(8)."""
