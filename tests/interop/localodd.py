"""More scenes for local(8), found by worlds that were made up: what a list, an address or a duplicate may also be."""

from __future__ import annotations

from tests.interop.localscenes import ALL, Scene, Thing, each, forward

_X = '"|echo x >> ROOT/out/{0}"'
_TOLD = "env | grep -e EXT -e LOCAL -e USER -e RECIP | sort >> ROOT/out/"
_RELAY = {"relayhost": "[127.0.0.1]:PORT"}

_ODD = r"""e2: <>, bob
e3: ""
e4: "", bob
e5: @u6
e6: @local.test
e7: bob@
s1: ~alice/box
s2: ~
s3: ~/x, bob
d1: nosuch, nosuch, NOSUCH, nosuch@local.test
d2: "|exit 64", "|exit 64", ROOT/out, ROOT/out, -f, -f, -f@local.test
d3: d4, d4, nosuch, \nosuch
d4: nosuch
b1: "\\bob"
b2: \\bob
b3: "\\bob"@local.test
b4: "\\nosuch"
b5: "\\e2"
b6: bob\
b7: "bob\\"
o1: "open, bob
o2: (open
o3: <open
o4: (comment)
o5: ,
o6: ;
x1: :include:ROOT/lists/x1
"""

_BAD = {
    "home": "~alice/box",
    "home2": "~/box",
    "inc": ":include:x",
    "inc2": ":include:ROOT/lists/none",
    "inc3": ":include:ROOT/lists/open",
    "command": '"|exit 0"',
    "syntax": "-f",
    "unknown": "nosuch",
    "directory": "ROOT/out",
    "maildir": "ROOT/out/file/",
}

ODD: dict[str, Scene] = {
    "entries-that-are-odd": Scene(
        each(*(line.split(":")[0] for line in _ODD.splitlines()), "alice", "carol", "dave", "eve", "lister"),
        ALL | _RELAY,
        _ODD,
        files=(
            forward("alice", '"|exit 75"\nx1@outside.test\nROOT/out/alice\nnosuch\n'),
            forward("carol", '"|exit 64"\nx1@outside.test\n"|exit 75", ROOT/out/carol, nosuch\nROOT/out/carol2\n'),
            forward("dave", ":include:ROOT/lists/x1\nROOT/out/dave\n"),
            forward("eve", 'eve2, "open\nbob\n"open'),
            forward("lister", '@\n<>\n""\n@u6\n~alice/x\n'),
            Thing("lists/x1", '"|exit 75"\nROOT/out/x1\n'),
        ),
        ordered=True,
        bodies=True,
    ),
    "home-of-nobody-as-directory": Scene(
        each("alice", "cmd"),
        {"command_execution_directory": "$home"},
        'cmd: "|pwd > ROOT/out/cmd"\n',
        files=(forward("alice", '"|pwd > ROOT/out/alice"\n'),),
    ),
    "duplicates": Scene(
        each("a", "b", "c", "d", "e", "f", "g", "h", "i", "u", "v", "w"),
        ALL,
        f"""a: alice+a, alice+b, alice, Alice, "alice"
b: c, alice+a, x@outside.test, X@outside.test, x@OUTSIDE.test
c: alice+a, alice+A, alice
d: bob, bob+x, bob+y
e: {_X.format("e")}, f
f: {_X.format("e")}, ROOT/out/f
g: ROOT/out/F, ROOT/out/f, "|ECHO", "|echo", :include:ROOT/lists/l, :include:ROOT/lists/L, :include:ROOT/lists/l
h: j+x, j+y, j, k
i: {_X.format("i")}, :include:ROOT/lists/i
j: {_X.format("h")}
k: {_X.format("h")}, :include:ROOT/lists/h
u: nosuch+a, nosuch+b, nosuch
v: w, "\\\\nosuch", nosuch+z
w: nosuch+q, other
""",
        files=(
            forward("bob", f"bob, bob+x, {_X.format('bob')}\n"),
            Thing("lists/l", "alice\n"),
            Thing("lists/L", "carol\n"),
            Thing("lists/i", f"{_X.format('i')}\n"),
            Thing("lists/h", f"{_X.format('h')}\n"),
        ),
        ordered=True,
    ),
    "duplicates-that-others-get": Scene(
        each("a", "b", "d"),
        {"fallback_transport": "discard:x"},
        "a: nosuch+a, nosuch+b, nosuch, nosuch+a\nb: c, nosuch+z\nc: nosuch+z\n"
        "d: nosuch, nosuch+x\nowner-d: boss@outside.test\n",
    ),
    "duplicates-of-forwarders": Scene(
        each("bob", "c", "d", "e", "f", "g"),
        {},
        "bob: bob, carol\nc: bob, carol, x@outside.test\nd: c, bob, carol, dave\ne: dave, e2, dave+x\ne2: dave\n"
        "f: eve, eve+x, eve+y\ng: lister, lister+x\n",
        files=(
            forward("bob", f"x@outside.test\n{_X.format('b')}\n"),
            forward("carol", "carol, \\carol, y@outside.test\n"),
            forward("dave", "z@outside.test\n"),
            forward("eve", "# nothing\n"),
            forward("lister", "lister\n"),
            Thing("home/lister/.forward+x", "z@outside.test\n", "lister"),
        ),
    ),
    "lists-in-forwards": Scene(
        each("a", "b", "c", "d", "e"),
        {},
        "a: alice+x, bob\nb: :include:ROOT/lists/l, alice\nc: :include:ROOT/lists/l, :include:ROOT/lists/m\n"
        "owner-c: boss@outside.test\nd: d, dave\ne: carol\n",
        files=(
            Thing("lists/l", "alice, nosuch, bob\nnosuch2 x@outside.test\n"),
            Thing("lists/m", "carol, y@outside.test\n"),
            forward("bob", "carol, bob, \\bob+x, alice, z@outside.test\n"),
            forward("carol", '"|exit 0"\nalice\n:include:ROOT/lists/m\n'),
        ),
        ordered=True,
    ),
    "extensions-that-are-illegal": Scene(
        each("alice+a/b", "a/b", "list+a/b", "nosuch+a/b"),
        {"mailbox_command": f"{_TOLD}$USER", "luser_relay": "z.$local.$extension.$recipient_delimiter@outside.test"},
        f'list: "|{_TOLD}list"\nlist+a: ROOT/out/no\n',
        ordered=True,
    ),
    "extensions-that-are-empty": Scene(
        each("a+", "b+", "c+", "alice+", "bob+"),
        {"propagate_unmatched_extensions": "alias, forward, include"},
        "a: x@outside.test, bob\nb: alice\nc: \\nosuch\n",
        files=(forward("alice", "x@outside.test\n"),),
    ),
    "forward-path-undefined": Scene(
        each("alice+a/b", "alice+", "alice+x", "alice"),
        {"forward_path": "ROOT/lists/1.$extension.${recipient_delimiter}, ROOT/lists/$local, ROOT/lists/ok"},
        files=(
            Thing("lists/alice+", '"|echo local+ >> ROOT/out/x"', "alice"),
            Thing("lists/alice", '"|echo local >> ROOT/out/x"', "alice"),
            Thing("lists/alice+a", '"|echo local+a >> ROOT/out/x"', "alice"),
            Thing("lists/ok", f'"|{_TOLD}y"', "alice"),
        ),
        ordered=True,
    ),
    "forward-with-delimiter-alone": Scene(
        each("alice", "alice+", "alice+x", "bob"),
        {"recipient_delimiter": "-+"},
        files=(
            Thing("home/alice/.forward-", f"{_X.format('minus')}\n", "alice"),
            Thing("home/alice/.forward+", f"{_X.format('plus')}\n", "alice"),
            Thing("home/bob/.forward+", f"{_X.format('bob')}\n", "bob"),
            forward("alice", f"{_X.format('plain')}\n"),
        ),
    ),
    "output-of-blanks": Scene(
        each("a", "b", "c", "d", "e"),
        {},
        'a: "|echo; exit 78"\nb: "|echo fine; exit 64"\nc: "|echo 5.7.1 x; exit 64"\n'
        "d: \"|printf 'a\\\\n\\\\nb'; exit 64\"\ne: \"|printf ' x'; exit 64\"\n",
        bodies=True,
    ),
    "tables-that-fail": Scene(
        each("alice", "bob", "carol", "nosuch", "dave"),
        {"mailbox_transport_maps": "inline:{ {alice = discard:a} }, fail:x"},
    ),
    "tables-that-fail-late": Scene(
        each("alice", "nosuch", "dave"),
        {"fallback_transport_maps": "fail:x", "mailbox_command_maps": "fail:y"},
        files=(forward("alice", "x@outside.test\n"),),
    ),
    "bytes-that-are-no-text": Scene(
        each("alice", "bob", "carol", "a"),
        ALL | _RELAY,
        'a: x\udce9@outside.test, "|echo \udce9 >> ROOT/out/a", ROOT/out/\udce9\n',
        files=(
            forward("alice", 'u11\udce9, "|echo \udce9; exit 64"\n'),
            forward("bob", "x@outside.test\0y@outside.test\nz@outside.test\n"),
            forward("carol", "\0\n"),
        ),
        bodies=True,
    ),
    "owners-who-are-not-told": Scene(
        each(*_BAD),
        _RELAY | {"allow_mail_to_commands": ""},
        "".join(f"{name}: {value}\nowner-{name}: boss.{name}@outside.test\n" for name, value in _BAD.items()),
        files=(Thing("lists/open", "x\n", mode=0o666), Thing("out/file", "")),
    ),
    "statuses-that-are-none": Scene(
        each("a", "b", "c", "d"), {}, 'a: "|exit 200"\nb: "|exit 1"\nc: "|exit 79"\nd: "|exit 63"\n'
    ),
    "shell-that-is-none": Scene(
        each("alice"), {"local_command_shell": "/none -c"}, files=(forward("alice", '"|x"\n'),)
    ),
}
