"""The programs: one module a command, each with a ``main() -> int``."""
