"""``python -m angarium.demo [--try] [DIRECTORY]``: what ``scripts/run`` calls."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from angarium.demo import trial
from angarium.demo.site import Site


def main() -> int:
    """Prepare the site, start the server, and try it or stay in the foreground."""
    parser = argparse.ArgumentParser(prog="scripts/run", description="A demo mail server on loopback.")
    parser.add_argument("--try", dest="trial", action="store_true", help="send a message through it, then stop it")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(".demo"), help="where it keeps everything")
    options = parser.parse_args()
    begun = time.monotonic()
    site = Site(options.directory.absolute())
    passwords = site.prepare()
    if not options.trial:
        _introduce(site, passwords)
        os.execv(site.command("postfix")[0], [*site.command("postfix"), "start-fg"])  # noqa: S606 - our own program
    started = _start(site)
    print(f"the server listens after {time.monotonic() - begun:.2f} s\n" if started else "a server runs already\n")
    try:
        trial.run(site, passwords)
    finally:
        if started:
            site.administer("postfix", "stop")
    print("\nall of it worked")
    return 0


def _start(site: Site) -> bool:
    """Start the server in the background unless it runs; True when it was started."""
    if subprocess.run(site.command("postfix", "status"), capture_output=True, check=False).returncode == 0:
        return False
    site.administer("postfix", "start")
    return True


def _introduce(site: Site, passwords: dict[str, str]) -> None:
    ports = site.ports
    print(f"Angarium runs on {site.host} for the domain {site.domain}. Ctrl-C stops it; {site.root} keeps its data.\n")
    print(f"  SMTP         port {ports.smtp} with STARTTLS, mail for {site.domain}")
    print(
        f"  submission   port {ports.submission} with STARTTLS, port {ports.submissions} with TLS from the start; AUTH"
    )
    print(f"  IMAP         port {ports.imap} with STARTTLS, port {ports.imaps} with TLS from the start")
    print(f"  POP3         port {ports.pop3} with STLS, port {ports.pop3s} with TLS from the start\n")
    for address, password in passwords.items():
        print(f"  account      {address}   password {password}")
    print(f"\n  clients trust {site.authority}")
    print(f"  the log is    {site.log}")
    print(f"  commands take -c {site.configuration}, for example: {' '.join(site.command('mailq'))}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
