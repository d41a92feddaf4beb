"""Scenes for local(8), which ``localstage`` plays: users with files, aliases, settings, and the mail that comes."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXT = "Subject: a\n\nFrom me\n>From you\nb\n"


@dataclass(frozen=True)
class Thing:
    """A file, or what stands in its place; ``text`` may be a link's target. ``times`` repeats the text."""

    path: str
    text: str = ""
    owner: str = "root"
    group: str = ""
    mode: int | None = None
    kind: str = "file"
    age: float = 0.0
    times: int = 1


@dataclass(frozen=True)
class Mail:
    """A message; recipients are local parts."""

    recipients: tuple[str, ...]
    sender: str = "s@outside.test"
    text: str = TEXT


@dataclass(frozen=True)
class Scene:
    """What is set up and what happens; ``aliases2`` belongs to the user lister.

    A step ``flush`` tries deferred mail; other words are recipients of whom ``sendmail -bv`` asks. In an ``ordered``
    scene each message has been delivered when the next one comes. ``users`` are there beside those of every scene.
    ``bodies``: texts that reach the outside are compared too.
    """

    steps: tuple[Mail | str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    aliases: str = ""
    aliases2: str = ""
    files: tuple[Thing, ...] = ()
    services: tuple[str, ...] = ()
    ordered: bool = False
    users: tuple[str, ...] = ()
    bodies: bool = False


def each(*names: str) -> tuple[Mail, ...]:
    """A message of its own for each recipient."""
    return tuple(Mail((name,)) for name in names)


def forward(user: str, text: str, **fields: object) -> Thing:
    """A ``.forward`` of the user's own."""
    return Thing(f"home/{user}/.forward", text, user, **fields)  # type: ignore[arg-type]


WHO = "(id -un; id -gn; id -Gn) >> ROOT/out/{0}; exit 0"


ENV = '"|env | sort | grep -e ^HOME -e ^SHELL -e ^USER -e ^LOGNAME -e ^EXT -e ^LOCAL >> ROOT/out/{0}"'


def who(name: str) -> str:
    """A command that writes down who runs it."""
    return '"|' + WHO.format(name) + '"'


BOTH = {"alias_maps": "hash:ROOT/aliases, hash:ROOT/aliases2"}
ALL = {"allow_mail_to_commands": "alias,forward,include", "allow_mail_to_files": "alias,forward,include"}

SCENES: dict[str, Scene] = {
    "rights-of-alias-files": Scene(
        each("roots", "listers", "nested", "chain", "listfile", "rootfile", "mixed"),
        BOTH,
        f"roots: {who('roots')}\nrootfile: ROOT/out/rootfile\nfromlister: {who('fromlister')}\nchain: listers2\n"
        f"mixed: {who('mixed')}, alice, ROOT/out/mixedfile\n",
        f"listers: {who('listers')}\nnested: fromlister\nlisters2: {who('listers2')}\nlistfile: ROOT/out/listfile\n",
        (forward("alice", f"{who('alice')}\n"),),
    ),
    "rights-of-lists": Scene(
        each("byroot", "bycarol", "byalias2", "byforward", "bystranger", "inner", "open", "secret", "dir", "relative"),
        BOTH | ALL,
        "byroot: :include:ROOT/lists/root\nbycarol: :include:ROOT/lists/carol\nbyforward: bob\n"
        "bystranger: :include:ROOT/lists/stranger\ninner: :include:ROOT/lists/inner\nopen: :include:ROOT/lists/open\n"
        "secret: :include:ROOT/lists/secret\ndir: :include:ROOT/lists\nrelative: :include:lists/root\n",
        "byalias2: :include:ROOT/lists/carol2\n",
        (
            Thing("lists/root", f"{who('byroot')}\nROOT/out/byrootfile\n"),
            Thing("lists/carol", f"{who('bycarol')}\nROOT/out/bycarolfile\n", "carol"),
            Thing("lists/carol2", f"{who('byalias2')}\n", "carol"),
            Thing("lists/stranger", f"{who('bystranger')}\n", "stranger"),
            Thing("lists/inner", ":include:ROOT/lists/innermost\n", "carol"),
            Thing("lists/innermost", f"{who('innermost')}\n", "dave"),
            Thing("lists/open", f"{who('open')}\n", "carol", mode=0o666),
            Thing("lists/secret", f"{who('secret')}\n", "dave", mode=0o600),
            Thing("lists/bobs", f"{who('bobs')}\n", "dave"),
            forward("bob", ":include:ROOT/lists/bobs\n"),
        ),
    ),
    "alias-file-of-nobody-known": Scene(
        each("x"),
        {"alias_maps": "texthash:ROOT/lists/aliases"},
        files=(Thing("lists/aliases", f"x {who('x')}\n", "stranger"),),
    ),
    "alias-file-of-lister-as-text": Scene(
        each("x", "y"),
        {"alias_maps": "texthash:ROOT/lists/aliases, inline:{ {y = |/usr/bin/id >> ROOT/out/y} }"},
        files=(Thing("lists/aliases", f"x {who('x')}\n", "lister"),),
    ),
    "owner-alias": Scene(
        each("list", "list-request", "owner-list", "sub", "nobodys"),
        {},
        "list: x@outside.test, nosuch, sub, bob\nowner-list: boss@outside.test\nsub: y@outside.test, nosuch2\n"
        "list-request: boss@outside.test\nnobodys: nosuch3, z@outside.test\n",
        files=(forward("bob", '"|exit 67"\n'),),
    ),
    "owner-alias-of-no-meaning": Scene(
        each("list", "list-request", "owner-list", "owner-x", "list-x"),
        {"owner_request_special": "no", "recipient_delimiter": "-"},
        "list: x@outside.test, nosuch, bob\nowner-list: boss@outside.test\nowner: alice\n",
    ),
    "names-that-are-not-split": Scene(
        each("list", "list-request", "owner-list", "owner-x", "list-x"),
        {"recipient_delimiter": "-"},
        "list: x@outside.test, nosuch, bob\nowner-list: boss@outside.test\nowner: alice\n",
    ),
    "owner-alias-expanded": Scene(
        each("list", "two", "chain"),
        {"expand_owner_alias": "yes"},
        "list: x@outside.test, nosuch\nowner-list: boss@outside.test\ntwo: x@outside.test, nosuch\n"
        "owner-two: a@outside.test, b@outside.test\nchain: x@outside.test, nosuch\nowner-chain: alice\n",
    ),
    "owner-alias-reset": Scene(
        each("list"),
        {"reset_owner_alias": "yes"},
        "list: sub, x@outside.test\nowner-list: boss@outside.test\nsub: nosuch, y@outside.test\n",
    ),
    "owner-alias-kept": Scene(
        each("list"),
        {},
        "list: sub, x@outside.test\nowner-list: boss@outside.test\nsub: nosuch, y@outside.test\n",
    ),
    "several-outcomes": Scene(
        (Mail(("many", "alice")), Mail(("half",)), "flush", Mail(("waits",)), *each("loop", "double")),
        {},
        'many: alice, nosuch, bob, "|exit 64", ROOT/out, dave, x@outside.test\n'
        'half: alice, "|exit 75", nosuch, x@outside.test\nwaits: "|exit 75", ROOT/out/waits\nloop: loop, alice\n'
        'double: alice, alice, eve, eve, ROOT/out/f, ROOT/out/f, "|cat >> ROOT/out/c", "|cat >> ROOT/out/c"\n',
        files=(forward("bob", '"|exit 67"\n'), forward("dave", '"|exit 0", nosuch2, \\dave\n')),
        ordered=True,
    ),
    "delivered-to": Scene(
        (
            Mail(("alice",), text="Delivered-To: alice@local.test\nSubject: a\n\nb\n"),
            Mail(("bob",), text="Delivered-To: bob@local.test\nSubject: a\n\nb\n"),
            Mail(("list",), text="Delivered-To: list@local.test\nSubject: a\n\nb\n"),
            Mail(("list",), text="Delivered-To: alice@local.test\nSubject: a\n\nb\n"),
            Mail(("dave+x",), text="Delivered-To: dave@local.test\nSubject: a\n\nb\n"),
            Mail(("eve",)),
            Mail(("carol",)),
        ),
        {},
        "list: alice, carol\nloopy: eve\n",
        files=(forward("bob", "x@outside.test\n"), forward("eve", "carol\n"), forward("carol", "eve, \\carol\n")),
    ),
    "delivered-to-thawed": Scene(
        (
            Mail(("alice",), text="Delivered-To: alice@local.test\nSubject: a\n\nb\n"),
            Mail(("list",), text="Delivered-To: alice@local.test\nSubject: a\n\nb\n"),
            Mail(("eve",)),
        ),
        {"frozen_delivered_to": "no"},
        "list: alice, carol\n",
        files=(forward("eve", "carol\n"), forward("carol", "eve, \\carol\n")),
    ),
    "delivered-to-left-out": Scene(
        each("alice", "bob", "cmd"),
        {"prepend_delivered_header": "file, forward", "enable_original_recipient": "no"},
        'cmd: "|cat >> ROOT/out/cmd"\n',
        files=(forward("bob", "x@outside.test\n"),),
    ),
    "spool-of-roots": Scene(
        each("alice", "bob", "carol"),
        {"mail_spool_directory": "ROOT/mail"},
        files=(
            Thing("mail", kind="directory", mode=0o755),
            Thing("mail/bob", "", "bob", mode=0o600),
            Thing("mail/carol", "", "carol", mode=0o600),
            Thing("mail/carol.lock", "", "carol"),
        ),
    ),
    "spool-of-a-group": Scene(
        each("alice", "bob", "carol"),
        {"mail_spool_directory": "ROOT/spool/mail"},
        files=(
            Thing("spool/mail", kind="directory", group="mail", mode=0o2775),
            Thing("spool/mail/bob", "old\n", "bob", group="mail", mode=0o660),
            Thing("spool/mail/carol", "", "carol", mode=0o600),
            Thing("spool/mail/carol.lock", "", "carol"),
        ),
    ),
    "spool-of-everybody": Scene(
        each("alice", "bob", "carol", "dave", "eve", "lister"),
        {"mail_spool_directory": "ROOT/spool/mail"},
        files=(
            Thing("spool/mail", kind="directory", mode=0o1777),
            Thing("spool/mail/bob", "old\n", "carol", mode=0o666),
            Thing("spool/other", "", "carol", mode=0o666),
            Thing("spool/mail/carol", "ROOT/spool/other", "carol", kind="link"),
            Thing("spool/roots", "", "dave", mode=0o600),
            Thing("spool/mail/dave", "ROOT/spool/roots", kind="link"),
            Thing("spool/mail/eve", kind="directory", owner="eve"),
            Thing("spool/mail/lister", kind="fifo", owner="lister"),
        ),
    ),
    "spool-with-links": Scene(
        each("carol", "dave", "bob", "alice"),
        {"mail_spool_directory": "ROOT/spool/mail"},
        files=(
            Thing("spool/mail", kind="directory", mode=0o755),
            Thing("spool/carols", "", "carol", mode=0o600),
            Thing("spool/mail/carol", "ROOT/spool/carols", kind="link"),
            Thing("spool/mail/dave", "ROOT/spool/none", kind="link"),
            Thing("spool/bob", "", "bob", mode=0o600),
            Thing("spool/mail/bob", "ROOT/spool/bob", kind="hardlink"),
            Thing("spool/mail/alice", "", "alice", mode=0o400),
        ),
    ),
    "spool-not-there": Scene(each("alice"), {"mail_spool_directory": "ROOT/spool/none"}),
    "mailbox-of-others": Scene(
        each("bob"),
        {"strict_mailbox_ownership": "no"},
        files=(Thing("spool/bob", "old\n", "carol", mode=0o666),),
    ),
    "locks": Scene(
        each("alice", "bob", "f"),
        {"mailbox_delivery_lock": "fcntl, flock, dotlock", "stale_lock_time": "50s"},
        "f: ROOT/out/f\n",
        files=(
            Thing("spool/alice.lock", "", "alice"),
            Thing("spool/bob.lock", "", "bob", age=100),
            Thing("out/f.lock", "", "alice"),
        ),
    ),
    "locks-without-files": Scene(
        each("alice", "bob"),
        {"mailbox_delivery_lock": "flock"},
        files=(Thing("spool/alice.lock", "", "alice"), forward("bob", "~/mbox\n")),
    ),
    "too-large": Scene(
        (
            Mail(("alice",), text="Subject: a\n\n" + ("x" * 70 + "\n") * 30),
            *each("alice", "bob", "c", "m"),
            Mail(("m", "f"), "", text="Subject: a\n\n" + ("x" * 70 + "\n") * 28),
        ),
        {"mailbox_size_limit": "4000", "message_size_limit": "4000"},
        'c: "|cat >/dev/null"\nm: ROOT/out/m/\nf: ROOT/out/f\n',
        files=(
            Thing("spool/bob", "x" * 79 + "\n", "bob", mode=0o600, times=49),
            Thing("out/f", "x" * 79 + "\n", "daemon", mode=0o600, times=36),
        ),
    ),
    "files": Scene(
        each("dir", "slash", "fifo", "zero", "link", "deep", "mdeep", "full", "hard", "locked", "home", "tilde"),
        {},
        "dir: ROOT/lists\nslash: ROOT/out/box/\nfifo: ROOT/out/fifo\nzero: /dev/zero\nlink: ROOT/out/link\n"
        "deep: ROOT/out/no/such/file\nmdeep: ROOT/out/a/b/\nfull: /dev/full\nhard: ROOT/out/hard\n"
        "locked: ROOT/lists/x\nhome: bob\ntilde: ~/x\n",
        files=(
            Thing("out/fifo", kind="fifo", mode=0o666),
            Thing("out/target", "", "daemon", mode=0o666),
            Thing("out/link", "ROOT/out/target", kind="link"),
            Thing("out/one", "", mode=0o666),
            Thing("out/hard", "ROOT/out/one", kind="hardlink"),
            forward("bob", "~/sub/mbox, ~/box, ~/dir/\n"),
        ),
    ),
    "home-mailbox": Scene(
        each("alice", "homeless", "blocked", "nowhere", "root", "rootish"),
        {"home_mailbox": "Maildir/"},
        files=(Thing("home/rootish", kind="directory"),),
    ),
    "forward-of-roots": Scene(
        each("rootish"),
        files=(
            Thing("home/rootish", kind="directory"),
            Thing("home/rootish/.forward", f"{who('command')}\nROOT/out/file\nROOT/out/maildir/\n"),
        ),
    ),
    "status-filter": Scene(
        each("both"),
        {"local_delivery_status_filter": "regexp:{ {/^4(.*)/ 5$$1} }"},
        'both: "|exit 75", far@outside.test\n',
    ),
    "home-mbox": Scene(each("alice", "homeless", "blocked", "nowhere"), {"home_mailbox": "mail/inbox"}),
    "home-required": Scene(
        each("alice", "homeless", "blocked", "nowhere"),
        {"require_home_directory": "yes"},
        files=(forward("homeless", "x@outside.test\n"),)[:0],
    ),
    "spool-maildir": Scene(each("alice", "dave"), {"mail_spool_directory": "ROOT/spool/"}),
    "mailbox-command": Scene(
        each("alice+ext", "bob", "root", "nosuch", "carol"),
        {
            "mailbox_command": "(id -un; echo $EXTENSION $LOCAL $USER $LOGNAME $HOME $SHELL $DOMAIN $RECIPIENT"
            " $ORIGINAL_RECIPIENT $SENDER; pwd) >> ROOT/out/$USER; cat >> ROOT/out/mail.$USER",
            "mailbox_command_maps": "inline:{ {bob = exit 77} }",
            "command_execution_directory": "$home",
            "home_mailbox": "never",
        },
        "root: \\root\n",
        files=(forward("carol", '\\carol, "|exit 73"\n'),),
    ),
    "command-directory": Scene(
        each("alice", "homeless", "cmd"),
        {"mailbox_command": "pwd > ROOT/out/$LOGNAME", "command_execution_directory": "$home/mail.$extension"},
        'cmd: "|pwd > ROOT/out/cmd"\n',
        files=(Thing("home/alice/mail.", kind="directory", owner="alice"),),
    ),
    "command-shell": Scene(
        each("alice", "bob"),
        {"mailbox_command": "echo $0 $* > ROOT/out/$USER", "local_command_shell": "/bin/sh -c"},
        files=(forward("bob", '"|/bin/echo x y"\n'),),
    ),
    "commands-that-misbehave": Scene(
        (
            Mail(("hangs",)),
            Mail(("stopped",)),
            Mail(("daemon",)),
            Mail(("floods",)),
            Mail(("ignores",), text="Subject: a\n\n" + "x" * 70 + ("\n" + "x" * 70) * 5000 + "\n"),
            Mail(("closes",), text="Subject: a\n\n" + "x" * 70 + ("\n" + "x" * 70) * 5000 + "\n"),
            Mail(("binary",)),
            Mail(("segv",)),
            Mail(("background",)),
        ),
        {"command_time_limit": "3s"},
        'hangs: "|sleep 100"\nstopped: "|kill -STOP $$"\ndaemon: "|(sleep 100) & exit 0"\n'
        'floods: "|yes | head -c 3000000; exit 0"\nignores: "|exit 0"\ncloses: "|exec <&-; sleep 1; exit 65"\n'
        'binary: "|printf \'a\\\\001\\\\377b\'; exit 69"\nsegv: "|kill -SEGV $$"\n'
        'background: "|(sleep 100 >/dev/null 2>&1 </dev/null) & exit 0"\n',
        ordered=True,
    ),
    "environment": Scene(
        (
            Mail(("env",), '"a$b;c|d`e"@outside.test'),
            Mail(('"alice+a;b$c"',)),
            Mail(("env",), ""),
        ),
        {"export_environment": "PATH TZ NAME=value"},
        "env: \"|env -0 | sort -z | tr '\\\\0' '\\\\n' | grep -v -e ^_= -e CLIENT -e ^PWD= -e ^PATH="
        ' >> ROOT/out/env"\n',
        files=(forward("alice", '"|env | sort | grep -e EXT -e LOCAL -e RECIPIENT -e ORIG >> ROOT/out/alice"\n'),),
        ordered=True,
    ),
    "other-transports": Scene(
        each("alice", "nosuch", "bob", "list", "carol"),
        {
            "mailbox_transport_maps": "inline:{ {alice = retry:4.7.1 alice waits} }",
            "mailbox_transport": "error:5.7.1 no $user here",
        },
        "list: x@outside.test, dave\n",
        files=(forward("carol", "\\carol\n"),),
    ),
    "fallbacks": Scene(
        each("alice", "nosuch", "stray", "stray+x"),
        {
            "fallback_transport_maps": "inline:{ {stray = discard:stray} }",
            "fallback_transport": "error:5.1.1 nobody knows him",
        },
    ),
    "luser-relay": Scene(
        each("nosuch+x", "alice", "list"), {"luser_relay": "lost.$user.$extension@outside.test"}, "list: nosuch2\n"
    ),
    "luser-local": Scene(each("nosuch+x", "other"), {"luser_relay": "alice+$local"}),
    "luser-nobody": Scene(each("nosuch"), {"luser_relay": "$recipient"}),
    "luser-missing": Scene(each("nosuch"), {"luser_relay": "nosuch2"}),
    "forward-files": Scene(
        each("alice+ext", "alice+other", "bob", "carol", "dave", "eve", "lister", "blocked", "homeless"),
        {},
        files=(
            Thing("home/alice/.forward+ext", "x@outside.test\n", "alice"),
            forward("alice", "y@outside.test\n"),
            Thing("home/bob/.forward", "x@outside.test\n", "carol"),
            forward("carol", "x@outside.test\n", mode=0o666),
            forward("dave", "x@outside.test\n", mode=0o664),
            Thing("home/eve/.forward", "x@outside.test\n", "root"),
            Thing("home/lister/.forward", "ROOT/home/dave/.forward", "lister", kind="link"),
            Thing("home/blocked/.forward", "x@outside.test\n", "blocked"),
        ),
    ),
    "forward-that-is-none": Scene(
        each("alice", "bob", "carol", "dave", "eve"),
        {},
        files=(
            Thing("home/alice/.forward", kind="directory", owner="alice"),
            Thing("home/bob/.forward", kind="fifo", owner="bob"),
            Thing("home/carol/.forward", "/dev/zero", "carol", kind="link"),
            Thing("home/dave/.forward", "none", "dave", kind="link"),
            Thing("home/eve/.forward", "x@outside.test\n", "eve", mode=0o000),
        ),
    ),
    "forward-path": Scene(
        each("alice+ext", "bob+e/../x"),
        {"forward_path": "ROOT/lists/$user/$extension, ROOT/lists/fwd.$user.$domain.$recipient_delimiter"},
        files=(
            Thing("lists/alice/ext", "x@outside.test\n", "alice"),
            Thing("lists/fwd.bob.local.test.+", "y@outside.test\n", "bob"),
        ),
    ),
    "forward-with-extension": Scene(
        each("alice+ext", "list+ext", "bob+e"),
        {"propagate_unmatched_extensions": "canonical, virtual, forward, include, alias"},
        "list: carol, x@outside.test, :include:ROOT/lists/l\n",
        files=(
            forward("alice", "x@outside.test, carol\n"),
            Thing("lists/l", "y@outside.test\n"),
            forward("bob", "\\bob, bob, ~/$EXT\n"),
        ),
    ),
    "forward-strange": Scene(
        each("alice", "bob", "carol", "dave", "eve", "lister"),
        {},
        files=(
            forward("alice", "alice@local.test\n"),
            forward(
                "bob", '"|exit 0" "|exit 64"\nBob Person <x@outside.test>, (comment) y@outside.test; group: a, b;\n'
            ),
            forward("carol", '"\\carol", "/dev/null", ":include:~/l"\n'),
            forward("dave", "x@outside.test,\n,,\n \n#x\n # y\n"),
            forward("eve", "x" * 3000 + "@outside.test\n"),
            forward("lister", "|\n"),
        ),
    ),
    "forward-of-many": Scene(
        each("alice"),
        {"line_length_limit": "2048"},
        files=(forward("alice", "x@outside.test\n", times=30000),),
    ),
    "messages": Scene(
        (
            Mail(("alice",), ""),
            Mail(("alice",), '"a b"@outside.test'),
            Mail(("alice",), text="Subject: a\n\n"),
            Mail(("alice",), text="Subject: a\n\nFrom a\nFrom b\n>From c\n From d\nFROM e\nFrom\nFrom:\n"),
            Mail(("alice",), text="Subject: a\n\n" + "From x" + "y" * 3000 + "\n"),
            Mail(("alice",), text="Subject: ä\n\nüäö \N{ARABIC LETTER PEH}\n"),
            Mail(
                ("alice",), text="Return-Path: <x@y>\nDelivered-To: bob@local.test\nX-Original-To: x\nSubject: a\n\nb\n"
            ),
            Mail(('"alice"', "Bob+X")),
            Mail(("dave",), text="From: x\nSubject: a\n\n.\n..\n. x\n"),
        ),
        {"home_mailbox": ""},
        files=(forward("dave", "~/box/, ROOT/out/dave\n"),),
    ),
    "many-at-once": Scene(
        (Mail(("alice", "bob", "alice+x", "nosuch", "Alice", "list", "list+y")),),
        {"local_destination_recipient_limit": "10"},
        "list: alice, bob, carol\n",
    ),
    "aliases-strange": Scene(
        each(
            '"a b"',
            "include",
            "quoted",
            "deep0",
            "upper",
            "UPPER",
            "both",
            "plus+x",
            "plus+y",
            "reg",
            "minus",
            "root",
            "postmaster",
        ),
        {},
        'include: ":include:ROOT/lists/none"\nquoted: "a b"@local.test\nUpper: alice\nboth: alice, "|exit 67"\n'
        "plus+x: x@outside.test\nplus: y@outside.test\nminus: -alice\n"
        + "".join(f"deep{n}: deep{n + 1}\n" for n in range(110))
        + "deep110: alice\n",
    ),
    **{
        f"alias-table-{kind}": Scene(
            each("x"),
            {"alias_maps": table},
            files=(
                Thing("lists/regexp", '/^(x)$/ "|echo $1; exit 0"\n'),
                Thing("lists/regexps", "/^x$/ ROOT/out/x\n", "lister"),
                Thing("lists/text", "x ROOT/out/x\n", "lister"),
                Thing("lists/other", "y ROOT/out/x\n", "carol"),
                Thing("lists/roots", "y ROOT/out/x\n"),
                Thing("lists/damaged", "x\n"),
            ),
        )
        for kind, table in {
            "tcp": "tcp:127.0.0.1:1",
            "socketmap": "socketmap:inet:127.0.0.1:1:x",
            "proxy": "proxy:texthash:ROOT/lists/text",
            "regexp-that-fills-in": "regexp:ROOT/lists/regexp",
            "regexp": "regexp:ROOT/lists/regexps",
            "missing": "texthash:ROOT/lists/none",
            "static": "static:ROOT/out/x",
            "union": "unionmap:{texthash:ROOT/lists/text, texthash:ROOT/lists/roots}",
            "union-of-two": "unionmap:{texthash:ROOT/lists/text, texthash:ROOT/lists/other}",
            "pipe": "pipemap:{inline:{x=y}, texthash:ROOT/lists/other}",
            "fail": "fail:x",
            "memcache": "memcache:ROOT/lists/none",
        }.items()
    },
    "locks-that-are-old": Scene(
        each("bob", "alice", "f"),
        {"stale_lock_time": "2s", "deliver_lock_attempts": "6"},
        "f: ROOT/out/f\n",
        files=(
            Thing("spool/bob.lock", "", "bob"),
            Thing("spool/alice.lock", "", "bob"),
            Thing("out/f.lock", "", "daemon"),
        ),
        ordered=True,
    ),
    "asked-about": Scene(
        ("alice bob carol dave eve nosuch list cmd file chain self", "homeless lister root many inc"),
        {"mailbox_command_maps": "inline:{ {lister = /bin/cat -} }"},
        'list: x@outside.test, alice\ncmd: "|exit 67"\nfile: ROOT/out/f\nchain: list\nself: self, nosuch\n'
        f"many: {', '.join(f'x{n}@outside.test' for n in range(60))}\ninc: :include:ROOT/lists/none\n",
        files=(
            forward("alice", "x@outside.test, \\alice\n"),
            forward("bob", '"|exit 67"\n'),
            forward("carol", "~/box\n"),
            forward("dave", "# nothing\n"),
            forward("eve", "x@outside.test\n", mode=0o666),
        ),
    ),
    "attacks": Scene(
        each("alice", "bob", "carol", "dave", "eve", "lister"),
        {"mailbox_delivery_lock": "fcntl"},
        files=(
            Thing("home/alice/private", "x@outside.test\n", "alice", mode=0o600),
            Thing("lists/shadow", "y@outside.test\n", mode=0o600),
            Thing("lists/group", "z@outside.test\n", group="extra", mode=0o640),
            forward("alice", "/etc/shadow, ROOT/lists/shadow, ROOT/lists/new\n"),
            forward("bob", ":include:ROOT/home/alice/private, :include:ROOT/lists/shadow, :include:ROOT/lists/group\n"),
            forward("carol", "~/link, ~/dir/, ROOT/home/alice/mine, ROOT/home/alice/M/\n"),
            Thing("home/carol/link", "ROOT/lists/shadow", "carol", kind="link"),
            Thing("home/carol/dir", "ROOT/home/alice", "carol", kind="link"),
            Thing("home/dave/.forward", "ROOT/lists/shadow", "dave", kind="hardlink"),
            Thing("home/eve/.forward", "ROOT/home/alice/private", "eve", kind="link"),
            forward("lister", '"|cat /etc/shadow ROOT/lists/group >&2; id -G >&2; exit 69"\n'),
        ),
    ),
    "owner-alias-of-commands": Scene(
        each("list", "file", "temp"),
        {},
        'list: "|env | grep -e SENDER -e ORIG >> ROOT/out/env; exit 64"\nowner-list: boss@outside.test\n'
        'file: ROOT/out/file, ROOT/out\nowner-file: boss@outside.test\ntemp: "|exit 75", nosuch\nowner-temp: alice\n',
    ),
    "environment-of-owners": Scene(
        each("root", "lister", "user", "alice+x", "sender"),
        BOTH,
        f"root: {ENV.format('root')}\nuser: alice\n",
        f"lister: {ENV.format('lister')}\n",
        (forward("alice", f"{ENV.format('alice')}\n"),),
        ordered=True,
    ),
    "upper-case": Scene(
        each("Alice+Ext", "BOB", "List", "Cmd"),
        {},
        'list: Carol, X@outside.test\ncmd: "|env | grep -e LOCAL -e RECIP -e USER -e DOM -e EXT >> ROOT/out/env"\n',
        files=(forward("bob", "Y@outside.test\n"), Thing("home/alice/.forward+ext", "Z@outside.test\n", "alice")),
    ),
    "home-of-a-link": Scene(
        each("alice", "bob"),
        {"home_mailbox": "mbox", "mailbox_delivery_lock": "fcntl"},
        files=(
            Thing("home/alice/mbox", "ROOT/home/alice/other", "alice", kind="link"),
            Thing("home/bob/mbox", "old\n", "bob", mode=0o400),
        ),
    ),
    "procmail": Scene(
        each("alice+x", "bob", "carol", "dave"),
        {"mailbox_command": '/usr/bin/procmail -a "$EXTENSION"'},
        files=(
            Thing("home/alice/.procmailrc", ":0:\n$HOME/got.$1\n", "alice"),
            Thing("home/bob/.procmailrc", "EXITCODE=77\n:0\n/dev/null\n", "bob"),
            Thing("home/carol/.procmailrc", ":0\n| cat > $HOME/piped\n", "carol"),
            Thing("home/dave/.procmailrc", ":0\n! x@outside.test\n", "dave"),
        )[:3],
    ),
    "maildrop": Scene(
        each("alice", "bob", "carol"),
        {"mailbox_command": '/usr/bin/maildrop -d "$USER"'},
        files=(
            Thing("home/alice/.mailfilter", 'to "$HOME/got"\n', "alice", mode=0o600),
            Thing("home/bob/.mailfilter", "EXITCODE=77\nexit\n", "bob", mode=0o600),
            Thing("home/carol/.mailfilter", 'to "| cat > $HOME/piped"\n', "carol", mode=0o600),
        ),
    ),
    "transports-by-table": Scene(
        each("alice", "bob+x", "carol", "nosuch", "other"),
        {
            "mailbox_transport_maps": "inline:{ {alice = discard:a}, {bob = retry:later} }",
            "fallback_transport_maps": "inline:{ {nosuch = discard:f} }",
            "mailbox_command_maps": "inline:{ {carol = exit 77} }",
        },
    ),
}
