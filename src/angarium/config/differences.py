"""Where the same configuration and the same input do something else here than in Postfix, each with its reason.

``docs/compatibility.md`` is made from this; nothing reads it at run time. Whoever finds a difference that shall stay
adds it here, under the area's heading; what shall not stay is a fault and gets a test instead.
"""

from __future__ import annotations

from collections.abc import Mapping

DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "postfix check": (
        (
            "Lines for files with wrong owners or rights are Postfix's own, but for the queue directory, which belongs "
            "to mail_owner here, and for set-gid commands, of which there are none. `maillog_file` needs no postlog "
            "service."
        ),
        (
            "It finds more, and says it with the file, the line and an id ([checks.md](manual/checks.md)); a value "
            "that cannot be read is fatal at once, not when a service needs it."
        ),
    ),
    "the commands": (
        (
            "An empty recipient of `sendmail` is refused. While the server is down nothing is said of pickup's missing "
            "socket."
        ),
        (
            "`sendmail` is told at once what cleanup refuses (a header check, too many hops) and ends with 69 or 77; "
            "Postfix takes the message and returns it later."
        ),
        (
            "`sendmail -bs` takes mail while the server is down for root, too, where Postfix's waits for cleanup; RET "
            "and ENVID of its session are kept, ORCPT is not."
        ),
        (
            "`postsuper -e` and `-f` return the mail at once, not at the next attempt. `postcat` has no records to "
            "number or to place (`-d`, `-o`, `-s`). Output on a full disk is an error of every command; some of "
            "Postfix's end with 0. Who may not read the queue hears so from `qshape`, which counts nothing as 0."
        ),
        (
            "`postfix` says on standard error what it logs as an error or a warning even where that is no terminal. "
            "`set-permissions` also writes the script of `sendmail` that starts fast; `upgrade-configuration` adds the "
            "services that mail here needs. `postfix tls new-server-cert` makes a new key as well."
        ),
        (
            "`postmulti -e create` takes the services of the primary's master.cf, not those of a stock file; the "
            "instance has `master_service_disable = inet` and nobody may submit mail, as with Postfix's."
        ),
        "`postkick` reaches pickup and the queue manager; other services have nothing to be woken for.",
        (
            "`postlog` and the other commands log to `maillog_file` or syslog themselves, without a postlog service: "
            "who may not write to `maillog_file` cannot use `postlog`."
        ),
        (
            "`makemap -d` keeps the first of several entries with a key, the one that lookups find in sendmail's "
            "files; `mailstats` counts in the log, there is no file of statistics."
        ),
        "`posttls-finger` has no DANE (`-f`, `-M`), no dumps (`-L ssl-…`), and says of no anchor at which depth it is.",
    ),
    "postconf": (
        (
            "Defaults are those of Postfix 3.9: `smtpd_forbid_bare_newline` and `smtpd_forbid_unauth_pipelining` are "
            "on, `mail_version` says 3.9.1, and newer parameters are there too, as are our own."
        ),
        (
            "A setting that is shown and that this server does not honour is a warning with its file and line; `-q` "
            "(of Postfix 3.9 and later) silences it together with the warnings for unused parameters."
        ),
        (
            "`-a` lists `dovecot` alone: passwords are checked by the server itself, and its SASL is Dovecot's. `-m` "
            "lists the types of tables that there are here, `directory` among them."
        ),
        "`-Fh` leaves a blank between a command and its arguments, which Postfix 3.7 forgets.",
        "Comments in master.cf stay where they are when a service is edited.",
        "A master.cf that is a directory is an error, not an empty file.",
        "`-v` prints nothing more.",
    ),
    "tables over databases": (
        (
            "A query that a server refuses is tried at the other servers, and puts none of them aside: the next key "
            "may be fine. Postfix asks no server again for a minute, so a key of a sender's choice can switch a "
            "table off. A server that cannot be reached, breaks off or does not answer is left alone for that minute."
        ),
        (
            "Connecting and asking are bounded by 10 seconds each; in a table's file `connect_timeout` and "
            "`query_timeout` are ours. Tables with the same settings share their connections."
        ),
        (
            "What is fatal to a Postfix program (a template with an unknown letter, a wrong number, a SQLite database "
            "that is not there) is a temporary error and a warning, with Postfix's words: mail waits."
        ),
        (
            "`pgsql:` text is UTF-8, as in Postfix 3.8 and later; Postfix 3.7 calls the same bytes Latin-1 and does "
            "not find what is not ASCII. A query is one SELECT, VALUES, or a statement with RETURNING; Postfix also "
            "takes several statements."
        ),
        "`sqlite:` opens the database for reading only; Postfix creates a missing one that it may write to.",
        (
            "`ldap:` has the SASL mechanisms EXTERNAL and PLAIN, and not DIGEST-MD5, CRAM-MD5, SCRAM or GSSAPI: TLS "
            "keeps a password too. `sasl_realm`, `sasl_minssf`, `debuglevel` and `tls_random_file` have no effect, and "
            "`tls_cipher_suite` is in OpenSSL's syntax."
        ),
        (
            "A socketmap reply of `OK` without the blank after it, and an empty value in memcached, are temporary "
            "errors; Postfix takes the first for not found."
        ),
        "A key that is too long for memcached is not sent to it. Only lookups are done in `memcache:`.",
        "A key of over 256 KiB is a temporary error, and so is an answer of over 16 MiB.",
    ),
    "TLS": (
        (
            "smtpd_tls_loglevel 2 adds the line of the client's certificate; OpenSSL's steps of a handshake, which "
            "Postfix shows from 2 on, are not logged. smtp_tls_loglevel above 1 adds nothing."
        ),
        (
            "Certificates that nobody vouches for are seen where the interpreter is CPython 3.11 to 3.13 "
            "([ADR 0031](adr/0031-client-certificates-that-nobody-vouches-for.md)); elsewhere smtpd_tls_ask_ccert asks "
            "nobody, with a warning, and smtpd_tls_req_ccert refuses a client without a trusted one in the handshake."
        ),
        (
            "`tls_server_sni_maps` serves imapd and pop3d too. A table that would have to wait inside of a handshake "
            "(databases, LDAP, tcp, socketmap, memcache) counts as one that cannot be asked: the handshake ends."
        ),
        (
            "Without smtp_tls_CAfile and smtp_tls_CApath the system's authorities are trusted at the levels verify and "
            "secure, where Postfix trusts nobody and defers all mail. For client certificates nobody is trusted then, "
            "as in Postfix."
        ),
        (
            "At verify and secure the handshake with a server that nobody vouches for ends at once, so that there is "
            "no line `Untrusted TLS connection established` before the mail is deferred."
        ),
        (
            "`tls_eecdh_auto_curves` as Postfix ships it means OpenSSL's own order, which has newer groups, and "
            "`tls_config_file` and `tls_config_name` have no effect, since OpenSSL reads its file before main.cf is "
            "read: the environment variable OPENSSL_CONF does the same for the whole server."
        ),
        (
            "The chain that DANE, or smtp_tls_trust_anchor_file, leads to is checked by the server itself: a "
            "certificate with a critical extension that it does not know, name constraints among them, is not trusted."
        ),
        (
            "`debug_peer_list` logs the conversation, at any level above 0, and nothing of what happens inside; "
            "what is logged in with is left out."
        ),
    ),
    "the SMTP server": (
        (
            "A before-queue filter (`smtpd_proxy_filter`) gets a message when all of it is there "
            "([ADR 0034](adr/0034-a-before-queue-filter-gets-whole-messages.md)); of one that is too big it gets "
            "nothing, and the log says 552 where Postfix has the filter's last answer."
        ),
        (
            "XCLIENT and XFORWARD with a fault change nothing at all; Postfix keeps the attributes in front of the "
            "fault. A header of the PROXY protocol may come in pieces; Postfix refuses it then. An unknown "
            "`smtpd_upstream_proxy_protocol` is found at the start."
        ),
        (
            "`smtpd_dns_reply_filter` is asked about every lookup of the restrictions, also of check_*_mx_access and "
            "its like; the time to live in a record is the smallest of the answer."
        ),
        (
            "That a restriction cannot be reached is said once, when the service starts; Postfix says it for each "
            "recipient. `permit_naked_ip_address`, which lets in whoever claims an address, is passed over."
        ),
        (
            "A message that smtpd_end_of_data_restrictions refuse is the end of its transaction (RFC 5321 section "
            "4.1.1.4); in Postfix 3.7 the next MAIL is nested, and the next DATA ends the process."
        ),
        (
            "After `postfix reload` sessions go on with the settings that they began with; one that says nothing "
            "between transactions for ten seconds is ended with 421, so that the old processes end. New clients meet "
            "new ones."
        ),
    ),
    "address verification": (
        (
            "Probes are asked from the session, without a message in the queue, so they are not in the log; what they "
            "find is kept in a SQLite database beside the name in `address_verify_map`, and every worker has a hundred "
            "probes at most under way."
        ),
    ),
    "files that root alone may read": (
        (
            "Lookup tables and the SMTP client's TLS keys that mail_owner may not read are read by root when the "
            "server starts. When such a file, or the key or certificate of a service, has changed, processes are "
            "replaced as in a reload, within two `file_check_interval`; Postfix's daemons start anew by themselves. "
            "Files over 16 MiB are not read so: give mail_owner the right to read them."
        ),
    ),
    "the SMTP and LMTP client": (
        (
            "A line that is no reply ends the conversation: what was answered before it stands, and the rest is "
            "deferred with `Protocol error`. Postfix goes on, and in LMTP may take the answer to QUIT for that to a "
            "recipient. An LMTP server that says 354 although it took nobody is hung up on."
        ),
        (
            "`smtp_sasl_auth_cache_name` names no file: refused log-ins are remembered in memory, for each service of "
            "master.cf, and forgotten with a restart."
        ),
        (
            "An unknown flag of an smtp or lmtp line in master.cf is a warning at start, where Postfix's client does "
            "not start."
        ),
        "`smtp_connection_cache_destinations` takes names, no tables.",
        (
            "XFORWARD says SOURCE=LOCAL of mail from addresses of our own and from local submissions; where "
            "`local_header_rewrite_clients` has other clients, Postfix counts those too."
        ),
    ),
    "rewriting and checks": (
        (
            "A header in which an address is rewritten is changed only where that address stands; its folding, quotes, "
            "comments and blanks stay, and quotes that an address has without need are no reason to change it; one "
            "that lacks quotes is given them. Postfix lays the whole header out anew. A blank before a header's colon "
            "stays too, for the signatures over it; tables see the header without it, as in Postfix."
        ),
        (
            "`cleanup_replace_stray_cr_lf = no` concerns local submissions alone: what comes by SMTP has a blank for "
            "half a line break in any case, also for a second CR at the end of a line, which Postfix drops."
        ),
        (
            "Of malformed address headers made by chance one in five hundred ends in other words than there: a bracket "
            "and a quote that never close, a comma in an empty group. `tests/golden/rewriting/random_*.json` has what "
            "Postfix makes of 500 malformed and 625 odd but well-formed ones, and of 200 results of tables. Its "
            "warnings for what is no address in brackets, when it stands in a header, are not there."
        ),
        (
            "Headers beyond the first MiB of a header block are rewritten before they are checked, not after; "
            "`smtp_header_checks` see the first MiB alone, and so does `sendmail -t`. Our own "
            "Received header is not cut by `header_size_limit`."
        ),
        (
            "A message that is redirected has its one new recipient in the queue from the start; Postfix keeps the "
            "others there until it delivers. Both deliver it alike."
        ),
        (
            "The log has a message's id before it has what went wrong with the addresses in its headers, and names the "
            "table and the cause behind Postfix's `map lookup problem`."
        ),
    ),
    "pipe": (
        (
            "A line whose attributes make no sense, or whose user may run nothing, stops Postfix's daemon each time "
            "that it starts; here its mail waits with the same text (unknown mail transport error), the fault is in "
            "the log at each attempt, and `angarium check` finds it."
        ),
        (
            "The time limit begins anew, as in Postfix, whenever a command reads some of the message or says "
            "something; what it says beyond 4 KiB does not count, so that no command runs for ever by talking."
        ),
        (
            "Without root (a demo, a test) commands run as the user of the server, whom `user=` has to name then; "
            "`chroot=` needs root."
        ),
    ),
    "spawn": (
        (
            "At the time limit a command is killed together with its process group. Postfix 3.7 says in the log that "
            "the limit is exceeded, and the command of another user runs on."
        ),
        (
            "A line that makes no sense closes its connections after `service_throttle_time`; the server starts all "
            "the same."
        ),
    ),
    "virtual": (
        (
            "By default `virtual` delivers to the mailstore, whose accounts are named by `virtual_mailbox_maps`. With "
            "`virtual_mailbox_format = files` (ours, also in master.cf) it delivers to Maildirs and mailbox files as "
            "Postfix does; without it `virtual_uid_maps` and the like have no effect, which `angarium check` says."
        ),
        (
            "With files, a user or group id that has more than 32 bits is a bad one; Postfix takes what is left of "
            "it, which is another user's. `directory:` cannot be one of the tables: the process of root's opens no "
            "database of the server's."
        ),
        (
            "With files, `virtual_mailbox_limit` smaller than `message_size_limit` is a warning, and larger messages "
            "go back (5.2.2). Postfix's agent then does not start at all, and with a message that is larger all the "
            "same it panics."
        ),
    ),
    "local": (
        (
            "Everything is expanded before anything is delivered: a table that cannot be asked, an `:include:` file "
            "that cannot be read now, defer a recipient before any part of it was delivered. Postfix delivers what "
            "comes before it, and again with each attempt."
        ),
        ("A table of `alias_maps` whose built file is missing is read from its source; with Postfix such mail waits."),
        (
            "A file without a name, as `/proc/self/fd/N` may lead to, is refused as a file with several names is. "
            "Output of a command beyond 4 KiB is dropped; Postfix keeps as much, and its log cuts the line."
        ),
        (
            "Mail waits for a `.forward` or `:include:` file of more than 8 MiB, and for a pipe among a user's files "
            "whose reader takes nothing for 1000 s; Postfix's local reads on, and waits on. What soft_bounce puts off "
            "is logged as `deferred`; Postfix's local says `SOFTBOUNCE`."
        ),
        (
            "A server that root has not started delivers to its own user's mailbox, files and commands alone; mail for "
            "other users of the system waits. Postfix cannot be started so."
        ),
        "`mailbox_transport` and `fallback_transport` reach the transports of master.cf that deliver here, and `smtp`.",
    ),
}
"""Area -> its differences, in Markdown."""
