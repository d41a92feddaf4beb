"""Workloads that measure this server beside a Postfix + Dovecot on the same machine: ``scripts/bench``."""
