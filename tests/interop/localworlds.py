"""Scenes for local(8) that are made up: a number gives a world of users, aliases, files and settings, always the same.

``python -m tests.interop.localworlds NUMBER …`` plays them with Postfix and with our server and prints what differs.
"""

from __future__ import annotations

import difflib
import json
import random
import sys
from collections.abc import Sequence

from tests.interop.localscenes import Mail, Scene, Thing

MORE = tuple(f"u{number}" for number in range(16))
"""Users of such a world beside those of every scene."""

PEOPLE = ("alice", "bob", "carol", "dave", "eve", *MORE)


class _Maker:
    """Makes one world."""

    def __init__(self, number: int) -> None:
        self.dice = random.Random(number)
        self.names = [f"a{number}" for number in range(14)]
        self.lists = [f"l{number}" for number in range(6)]
        self.count = 0

    def one(self, *choices: str) -> str:
        return self.dice.choice(choices)

    def maybe(self, chance: float) -> bool:
        return self.dice.random() < chance

    def fresh(self) -> int:
        self.count += 1
        return self.count

    # --- destinations

    def user(self) -> str:
        return self.dice.choice(PEOPLE)

    def address(self) -> str:
        dice, user = self.dice, self.user()
        alias = dice.choice(self.names)
        usual = [
            user,
            user,
            f"\\{user}",
            f"{user}@local.test",
            f"x{self.fresh()}@outside.test",
            f"x{self.fresh()}@outside.test",
            alias,
            alias,
            f"{user}+ext",
            f"{alias}+ext",
            "nosuch",
        ]
        odd = [
            user.upper(),
            user.title() + "+Ext@LOCAL.test",
            f'"{user}"',
            f'"{user}"@local.test',
            f'"\\\\{user}"',
            f"\\{user}@local.test",
            f"\\{user}+ext",
            f"\\\\{user}",
            f"\\{alias}",
            f"{user} (a comment)",
            f"(a comment) {user}",
            f"A Person <{user}@local.test>",
            f'"A, Person" <{user}>',
            f"<{user}>",
            "nosuch+ext",
            "\\nosuch",
            '"a b"',
            "a b",
            f"{user}.",
            f"{user}@",
            f"@{user}",
            "@local.test",
            "@",
            "<>",
            '""',
            f"{user}%local.test",
            f"local.test!{user}",
            f"x{self.fresh()}%outside.test@local.test",
            f"@outside.test:{user}@local.test",
            f"{user}@local.test@local.test",
            f"{user}+",
            f"+{user}",
            f"{user}+a+b",
            f"{user}+a/b",
            f"{user}++",
            "+",
            "postmaster",
            "MAILER-DAEMON",
            "root",
            "rootish",
            "nowhere",
            "homeless",
            "blocked",
            f"group: {user}, {alias};",
            f"{user};",
            f"-{user}",
            "-f",
            "é@outside.test",
            "\udce9@outside.test",
            f"{user}\udce9",
            f"owner-{alias}",
            f"{alias}-request",
            f"{user},,{alias}",
            "Error: none",
            f"{user}:{alias}",
            f"x{self.fresh()}@OUTSIDE.test",
            f"x{self.fresh()}@outside.test.",
            "[127.0.0.1]",
            f"'{user}'",
            f"{user}'s",
            "(only a comment)",
            "(open",
            '"open',
            "<open",
            "close>",
            "close)",
            "a\\",
            f"{user}\\",
        ]
        return dice.choice(usual) if self.maybe(0.7) else dice.choice(odd)

    def command(self) -> str:
        dice = self.dice
        status = dice.choice([0, 1, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 99, 200, 255])
        command = dice.choice(
            [
                f"exit {status}",
                f"exit {status}",
                f"exec sh -c 'exit {status}'",
                f"cat >> ROOT/out/c{self.fresh()}",
                f"cat >> ROOT/out/c{dice.randrange(3)}",
                "/bin/cat",
                "cat",
                "/bin/true",
                "/bin/false",
                f"id -un >> ROOT/out/c{self.fresh()}",
                f"id >> ROOT/out/c{self.fresh()}",
                f"pwd >> ROOT/out/c{self.fresh()}",
                f"umask >> ROOT/out/c{self.fresh()}",
                f"env | sort | grep -v -e ^_= -e CLIENT -e ^PWD= -e ^PATH= >> ROOT/out/c{self.fresh()}",
                f"env | sort | grep -e EXT -e LOCAL -e USER -e RECIP >> ROOT/out/c{self.fresh()}",
                f"echo 5.7.{dice.randrange(9)} go away; exit {status}",
                f"echo 4.7.{dice.randrange(9)} wait; exit {status}",
                f"echo 550 5.1.1 no; exit {status}",
                f"echo words; echo more words >&2; exit {status}",
                "echo fine",
                f"kill -{dice.choice([1, 9, 15])} $$",
                "",
                " ",
                " exit 64",
                f"if true; then exit {status}; fi",
                f"test -f /etc/passwd && exit {status}",
                f"exit {status} # comment",
                f'echo \\"$USER\\"; exit {status}',
                f"echo $HOME; exit {status}",
                f"printf '5.1.1'; exit {status}",
                f"printf '5.1.1 \\\\303\\\\251'; exit {status}",
                f"head -c 10000 /dev/zero | tr '\\\\0' x; exit {status}",
                f"echo é; exit {status}",
            ]
        )
        if self.maybe(0.05):
            return f"|{command}"
        return dice.choice([f'"|{command}"'] * 8 + [f'|"{command}"', f'"| {command}"', f" '|{command}'"])

    def file(self) -> str:
        dice = self.dice
        path = dice.choice(
            [
                f"ROOT/out/f{self.fresh()}",
                f"ROOT/out/f{dice.randrange(3)}",
                f"ROOT/out/m{self.fresh()}/",
                f"ROOT/out/m{self.fresh()}/deep/",
                f"ROOT/out/with space{self.fresh()}",
                "ROOT/out",
                "ROOT/out/none/x",
                "ROOT/out/file/x",
                "ROOT/out/file/",
                "ROOT/out/file",
                "ROOT/out/group",
                "ROOT/out/link",
                "ROOT/out/dangling",
                "ROOT/out/loop",
                "ROOT/out/two",
                "ROOT/out/fifo",
                "ROOT/out/locked",
                "ROOT/out/closed/x",
                "ROOT/out/closed/m/",
                "ROOT/out/aFile.Upper",
                "/dev/null",
                "/dev/full",
                "/dev/none",
                "/",
                "//",
                f"ROOT/out/m{self.fresh()}//",
                f"ROOT/out//double{self.fresh()}",
                f"ROOT/out/../out/up{self.fresh()}",
                f"ROOT/out/$USER{self.fresh()}",
                "~/box",
                "~/box",
                "~/M/",
                "~/none/x",
                "~/",
                "~",
                "~alice/box",
                f"ROOT/out/\udce9{self.fresh()}",
                f"ROOT/out/{'n' * 300}",
                "ROOT/home/alice/stolen",
                "ROOT/home/alice/stolen/",
                "/etc/shadow",
            ]
        )
        return f'"{path}"' if (" " in path and self.maybe(0.8)) or self.maybe(0.15) else path

    def include(self) -> str:
        name = self.dice.choice(self.lists)
        return self.dice.choice(
            [
                f":include:ROOT/lists/{name}",
                f":include:ROOT/lists/{name}",
                f":include:ROOT/lists/{name}",
                f'":include:ROOT/lists/{name}"',
                f":include: ROOT/lists/{name}",
                f'":include: ROOT/lists/{name}"',
                f":INCLUDE:ROOT/lists/{name}",
                ":include:ROOT/lists/none",
                ":include:ROOT/lists",
                ":include:lists/l0",
                ":include:",
                ":include:ROOT/lists/fifo",
                ":include:ROOT/lists/link",
                ":include:ROOT/lists/open",
                ":include:ROOT/lists/stranger",
                ":include:ROOT/lists/secret",
                ":include:ROOT/lists/empty",
                ":include:~/list",
                ":include:/dev/null",
                ":include:ROOT/lists/file/x",
                f":Fail:ROOT/lists/{name}",
            ]
        )

    def destination(self) -> str:
        chance = self.dice.random()
        if chance < 0.6:
            return self.address()
        if chance < 0.8:
            return self.command()
        return self.file() if chance < 0.93 else self.include()

    # --- texts

    def list_text(self) -> str:
        """A ``.forward`` or a list."""
        dice = self.dice
        if self.maybe(0.12):
            return dice.choice(
                [
                    "",
                    "\n",
                    " ",
                    " \n\t\n",
                    "#\n",
                    "# comment\n",
                    " # comment\n",
                    ",\n",
                    "\r\n",
                    "\0\n",
                    '""\n',
                    "<>\n",
                    "\\\n",
                    "|\n",
                    '"|\n',
                    "x" * 5000 + "\n",
                    f"{self.user()}\0{self.user()}\n",
                    "\ufeff" + self.user() + "\n",
                    "x " * 2000 + "\n",
                    f"{'(' * 200}\n",
                    f"{self.user()}, \\\n{self.user()}\n",
                    f"#{'y' * 3000} {self.user()}\n",
                    f"{' ' * 2040}{self.user()}, {self.user()}\n",
                ]
            )
        text = ""
        for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 5])):
            if self.maybe(0.08):
                text += dice.choice(["# a comment\n", " # not a comment\n", "\n", "   \n", "\t\n"])
            joiner = dice.choice([", ", ", ", ",", " ", ",\n\t", ",\n", ";", "  ,  "])
            text += dice.choice(["", "", "", " ", "\t"])
            text += joiner.join(self.destination() for _ in range(dice.choice([1, 1, 1, 2, 3])))
            text += dice.choice(["\n"] * 8 + ["\r\n", " \n", ",\n", " # trailing\n", "#trailing\n"])
        return text.removesuffix("\n") if self.maybe(0.15) else text

    def alias_text(self) -> str:
        dice = self.dice
        lines = []
        for name in self.names:
            key = dice.choice(
                [name] * 8 + [name.upper(), f'"{name}"', f"{name} ", f"{name}+ext", f'"{name} x"', f"{name}@local.test"]
            )
            if self.maybe(0.05):
                lines.append(dice.choice([name, f"{name} alice", ": alice", f"{name}:", f"{name}: ", f"{name}:\n #c"]))
                continue
            joiner = dice.choice([", ", ", ", ",", " ", ",\n\t", ",\n  ", " ,"])
            value = joiner.join(self.destination() for _ in range(dice.choice([1, 1, 1, 2, 3, 5])))
            lines.append(f"{key}:{dice.choice([' ', ' ', '', chr(9), chr(10) + ' '])}{value}")
            if self.maybe(0.15):
                lines.append(f"owner-{name}: boss{self.fresh()}@outside.test")
            if self.maybe(0.1):
                lines.append(f"{name}-request: {self.address()}")
            if self.maybe(0.1):
                lines.append(f"{name}+more: {self.destination()}")
            if self.maybe(0.1):
                lines.append(dice.choice(["# comment", "", "  ", "#"]))
            if self.maybe(0.04):
                lines.append(f"{name}: {self.address()}")
        for user in PEOPLE:
            if self.maybe(0.08):
                first = dice.choice([user, f"\\{user}", self.destination()])
                lines += [f"{user}: {first}, {self.destination()}"]
        return "\n".join(lines) + "\n"

    # --- files

    def files(self) -> list[Thing]:
        dice = self.dice
        things = [
            Thing("out/file", "old\n", mode=0o666),
            Thing("out/group", "old\n", group="daemon", mode=0o660),
            Thing("out/locked", "old\n", mode=0o666),
            Thing("out/locked.lock", "", "dave"),
            Thing("out/link", "ROOT/out/file", kind="link"),
            Thing("out/dangling", "ROOT/out/behind", kind="link"),
            Thing("out/loop", "ROOT/out/loop", kind="link"),
            Thing("out/two", "two\n", mode=0o666),
            Thing("out/twin", "ROOT/out/two", kind="hardlink", mode=0o666),
            Thing("out/fifo", kind="fifo", mode=0o666),
            Thing("out/closed", kind="directory", mode=0o755),
            Thing("lists/fifo", kind="fifo"),
            Thing("lists/file", "x@outside.test\n"),
            Thing("lists/open", "x@outside.test\n", mode=0o666),
            Thing("lists/stranger", "x@outside.test\n", "stranger"),
            Thing("lists/secret", "x@outside.test\n", "dave", mode=0o600),
            Thing("lists/empty", ""),
        ]
        for name in self.lists:
            owner = dice.choice(["root", "root", "root", "carol", "dave", "u1"])
            things.append(Thing(f"lists/{name}", self.list_text(), owner))
        things.append(Thing("lists/link", f"ROOT/lists/{dice.choice(self.lists)}", kind="link"))
        for user in PEOPLE:
            if self.maybe(0.6):
                things += self.forward(user, ".forward")
            if self.maybe(0.25):
                things += self.forward(user, ".forward+ext")
            if self.maybe(0.1):
                things += self.mailbox(f"home/{user}/box", user)
            if self.maybe(0.15):
                things += self.mailbox(f"spool/{user}", user)
        return things

    def forward(self, user: str, name: str) -> list[Thing]:
        dice, path = self.dice, f"home/{user}/{name}"
        text = self.list_text()
        if self.maybe(0.85):
            return [Thing(path, text, user)]
        return dice.choice(
            [
                [Thing(path, text, user, mode=mode)]
                for mode in (0o600, 0o664, 0o666, 0o646, 0o000, 0o444, 0o200, 0o4755, 0o622)
            ]
            + [
                [Thing(path, text, "root")],
                [Thing(path, text, "root", mode=0o600)],
                [Thing(path, text, "eve")],
                [Thing(path, text, "stranger")],
                [Thing(path, kind="directory", owner=user)],
                [Thing(path, kind="fifo", owner=user)],
                [Thing(f"{path}.real", text, user), Thing(path, f"ROOT/{path}.real", user, kind="link")],
                [Thing(path, "none", user, kind="link")],
            ]
        )

    def mailbox(self, path: str, user: str) -> list[Thing]:
        """Something in the place of a mailbox."""
        return self.dice.choice(
            [
                [Thing(path, "old\n", user, mode=mode, group=group)]
                for mode, group in ((0o600, ""), (0o660, "mail"), (0o644, ""), (0o400, ""), (0o000, ""), (0o666, ""))
            ]
            + [
                [Thing(path, "old\n", "root", mode=0o600)],
                [Thing(path, "old\n", "root", mode=0o666)],
                [Thing(path, "old\n", "stranger", mode=0o666)],
                [Thing(path, "no end", user, mode=0o600)],
                [Thing(path, kind="directory", owner=user)],
                [Thing(path, kind="fifo", owner=user)],
                [Thing(path, "ROOT/out/file", user, kind="link")],
                [Thing(path, "ROOT/out/file", "root", kind="link")],
                [Thing(path, "ROOT/out/none", "root", kind="link")],
                [Thing(path, "ROOT/out/two", user, kind="hardlink")],
                [Thing(f"{path}.lock", "", user)],
                [Thing(f"{path}.lock", "", user, age=1000)],
                [Thing(f"{path}.lock", kind="directory", owner=user)],
                [Thing(f"{path}.lock", "none", user, kind="link")],
                [Thing(path, "x" * 100 + "\n", user, times=300)],
            ]
        )

    # --- settings

    def settings(self) -> dict[str, str]:
        dice = self.dice
        all_of = ["alias", "forward", "include"]

        def some(*words: str) -> str:
            return ", ".join(dice.sample(words, dice.randint(0, len(words))))

        user, alias = self.user(), dice.choice(self.names)
        macros = "$user $extension $domain $local $recipient $recipient_delimiter ${extension?{e}:{n}} $home $shell"
        choices: dict[str, Sequence[str]] = {
            "allow_mail_to_commands": (", ".join(all_of), ", ".join(all_of), some(*all_of)),
            "allow_mail_to_files": (", ".join(all_of), ", ".join(all_of), some(*all_of)),
            "home_mailbox": ("Maildir/", "box", "box", "deep/box", "deep/M/", "/box", "box/../box2"),
            "mail_spool_directory": ("ROOT/spool/", "ROOT/spool", "ROOT/spool/none", "ROOT/spool/none/", "ROOT/out"),
            "mailbox_command": (
                "cat >> ROOT/out/mc.$USER",
                "/bin/cat",
                "exit 75",
                f"echo {macros} >> ROOT/out/mc.$LOGNAME",
                'test "$USER" = alice && exit 67; cat > /dev/null',
                'echo "$EXTENSION" "$RECIPIENT" >> ROOT/out/mc.$LOGNAME',
            ),
            "mailbox_command_maps": (
                f"inline:{{ {{{user} = cat >> ROOT/out/mcm}}, {{bob = exit 64}} }}",
                "static:{exit 77}",
                f"inline:{{ {{{user}@local.test = exit 69}} }}",
            ),
            "mailbox_transport": ("error:5.2.1 closed", "discard:all", "smtp:[127.0.0.1]:1", "none:", "retry:later"),
            "mailbox_transport_maps": (
                f"inline:{{ {{{user} = error:5.2.1 moved}} }}",
                f"inline:{{ {{{user}@local.test = discard:}} }}",
                f"inline:{{ {{alice = discard}}, {{{user} = error}} }}",
            ),
            "fallback_transport": ("error:5.1.1 nobody", "discard:all", "retry:later", "error"),
            "fallback_transport_maps": (
                "inline:{ {nosuch = error:5.1.6 moved} }",
                "inline:{ {nosuch@local.test = discard:} }",
            ),
            "luser_relay": (
                "$user@outside.test",
                "$local@outside.test",
                "lost+$extension@outside.test",
                "lost.$user.$domain.$recipient_delimiter.${extension?{yes}:{no}}@outside.test",
                "$recipient",
                user,
                alias,
                f"{user}+$user",
                '"$recipient"@outside.test',
                "|cat",
                f"{user}, bob",
                "nosuch2",
                "$home@outside.test",
            ),
            "forward_path": (
                "$home/.forward",
                "$home/.forward, $home/.forward${recipient_delimiter}${extension}",
                "$home/.forward${recipient_delimiter}ext,$home/.forward",
                "ROOT/lists/l0",
                "",
                "$home/.forward${extension?{+ext}}",
                "ROOT/home/$user/.forward+$extension ROOT/home/$local/.forward",
            ),
            "recipient_delimiter": ("", "-", "+-", "-+", "+"),
            "propagate_unmatched_extensions": (
                "canonical, virtual, alias, forward, include",
                "alias",
                "forward",
                "include",
                "",
            ),
            "expand_owner_alias": ("yes",),
            "reset_owner_alias": ("yes",),
            "local_command_shell": ("/bin/sh -c", "/bin/echo", "/none -c", "/bin/bash -c"),
            "command_expansion_filter": ("abcdefghijklmnopqrstuvwxyz", ""),
            "command_execution_directory": ("$home", "ROOT/out", "ROOT/none", "$home/none", "/tmp/$user", "out"),
            "execution_directory_expansion_filter": ("abcdefghijklmnopqrstuvwxyz/", ""),
            "export_environment": ("TZ", "TZ MAIL_CONFIG NAME=value", "A=b C=$d {E=f g}", ""),
            "mailbox_size_limit": ("20000", "1000"),
            "mailbox_delivery_lock": ("dotlock", "fcntl", "flock", "dotlock, fcntl, flock", "flock, dotlock", ""),
            "strict_mailbox_ownership": ("no",),
            "prepend_delivered_header": ("", "command", "file", "forward", "file, command"),
            "require_home_directory": ("yes",),
            "biff": ("no",),
            "local_delivery_status_filter": (
                "regexp:{ {/^5\\.(.*)/ 4.$1} }",
                "regexp:{ {/^4\\.(.*)/ 5.$1} }",
                "regexp:{ {/^2\\.(.*)/ 5.$1} }",
            ),
            "stale_lock_time": ("1s", "1d"),
            "duplicate_filter_limit": ("1", "2", "0"),
            "frozen_delivered_to": ("no",),
            "enable_original_recipient": ("no",),
            "default_privs": ("nobody", "u1"),
            "line_length_limit": ("300", "1000"),
            "alias_maps": (
                "hash:ROOT/aliases, hash:ROOT/aliases2",
                "hash:ROOT/aliases2 hash:ROOT/aliases",
                "",
                "hash:ROOT/aliases, inline:{ {nosuch = alice} }",
            ),
            "virtual_alias_maps": (f"inline:{{ {{a0@local.test = {user}@local.test}}, {{nosuch = bob}} }}",),
            "canonical_maps": (f"inline:{{ {{{user} = canon@outside.test}}, {{nosuch = bob}} }}",),
            "append_dot_mydomain": ("yes",),
            "swap_bangpath": ("no",),
            "allow_percent_hack": ("no",),
            "forward_expansion_filter": ("abcdefghijklmnopqrstuvwxyz/", ""),
            "resolve_dequoted_address": ("no",),
            "smtputf8_enable": ("no",),
            "notify_classes": ("bounce, software, resource, 2bounce", ""),
            "always_bcc": ("watch@outside.test",),
            "header_checks": ("regexp:{ {/^Subject: a/ PREPEND X-Checked: yes} }",),
            "bounce_size_limit": ("100",),
        }
        often = {"allow_mail_to_commands": 0.5, "allow_mail_to_files": 0.5}
        rare = {"default_privs": 0.03, "alias_maps": 0.1, "smtputf8_enable": 0.03}
        relay = {"relayhost": "[127.0.0.1]:PORT"}  # no questions to DNS
        return relay | {
            name: dice.choice(values)
            for name, values in choices.items()
            if self.maybe(often.get(name, rare.get(name, 0.07)))
        }

    # --- mail

    def text(self) -> str:
        dice = self.dice
        return dice.choice(
            ["Subject: a\n\nFrom me\n>From you\nb\n"] * 4
            + [
                "Subject: a\n\n",
                "Subject: a\n",
                "\nbody\n",
                "",
                "body without header\n",
                "Subject: a\n\nnul \0 nul\n\0\n",
                "Subject: a\n\n\udce9\udcff 8-bit\n",
                "Subject: \udce9\n\nb\n",
                "Subject: a\n\nä ö\n",
                "Subject: a\n\nFrom \nFrom\n>From a\n From b\nFrom: c\n",
                "From someone\nSubject: a\n\nb\n",
                ">From someone\nSubject: a\n\nb\n",
                "Subject: a\n\n" + "x" * 100_000 + "\n",
                "Subject: a\n\nFrom " + "x" * 100_000 + "\nFrom y\n",
                "Subject: a\n\n" + "line\n" * 5000,
                "Subject: a\n\nbare\rcr\r\n\rx\n",
                "Subject: a\n\n.\n..\n.x\n",
                "Subject: a\nReturn-Path: <x@y>\nDelivered-To: bob@local.test\nX-Original-To: z\n\nb\n",
                f"Delivered-To: {self.user()}@local.test\nSubject: a\n\nb\n",
                f"DELIVERED-TO: <{self.user()}@local.test>\nSubject: a\n\nb\n",
                f"Delivered-To:\n {self.user()}@Local.Test \nSubject: a\n\nb\n",
                "Subject: a\n folded\n\tmore\nX: y\n\n\n\n\n",
                "Subject: a\nResent-From: x@y\nBcc: secret@outside.test\n\nb\n",
                "Subject: a\nContent-Length: 5\nStatus: RO\n\nb\n",
                "Subject: a\nLines without colon\n\nb\n",
                " leading blank\nSubject: a\n\nb\n",
                "Subject: a\n" + "Received: by x; Mon, 1 Jan 2024 00:00:00 +0000\n" * 3 + "\nb\n",
            ]
        )

    def mail(self, name: str) -> Mail:
        dice = self.dice
        if self.maybe(0.15):
            name += dice.choice(["+ext", "+Ext", "+", "+more", "+a+b", "+a/b", "-ext", "+other"])
        if self.maybe(0.05):
            name = dice.choice([name.upper(), f'"{name} x"'])
        names = [name]
        if self.maybe(0.05):
            names += [dice.choice(self.names), self.user()]
        odd = ["", "", '"a b"@outside.test', "alice@local.test", "bob", "-x@outside.test", "S+x@Outside.test"]
        sender = dice.choice(["s@outside.test"] * 6 + odd)
        return Mail(tuple(dict.fromkeys(names)), sender, self.text())

    def scene(self) -> Scene:
        settings = self.settings()
        aliases = self.alias_text()
        aliases2 = f"b0: {self.destination()}\nb1: {self.destination()}, {self.destination()}\na3: alice\n"
        files = self.files()
        special = ["nosuch", "homeless", "blocked", "nowhere", "rootish", "root", "postmaster", "b0", "b1"]
        special += [f"owner-{name}" for name in self.names[:3]] + [f"{name}-request" for name in self.names[:3]]
        who = [*self.names, *PEOPLE, *(name for name in special if self.maybe(0.5))]
        steps: list[Mail | str] = [self.mail(name) for name in who]
        if self.maybe(0.1):
            steps.append("flush")
        return Scene(tuple(steps), settings, aliases, aliases2, tuple(files), users=MORE, bodies=True)


def world(number: int) -> Scene:
    """The world of a number."""
    return _Maker(number).scene()


def differences(theirs: dict[str, list[object]], ours: dict[str, list[object]]) -> list[str]:
    """What differs, a line each; ``-`` is Postfix's."""
    lines: list[str] = []
    for part in theirs.keys() | ours.keys():
        one, other = ([json.dumps(each) for each in played.get(part, [])] for played in (theirs, ours))
        changed = difflib.SequenceMatcher(None, one, other, autojunk=False)
        for kind, start, end, first, last in changed.get_opcodes():
            if kind == "replace" and end - start == last - first:
                for their, our in zip(one[start:end], other[first:last], strict=True):
                    lines += [f"{part} {x}" for x in _pair(their, our)]
            elif kind != "equal":
                lines += [f"{part} - {line[:600]}" for line in one[start:end]]
                lines += [f"{part} + {line[:600]}" for line in other[first:last]]
    return lines


def _pair(their: str, our: str) -> list[str]:
    """Two lines, where they begin to differ."""
    same = next((i for i, (a, b) in enumerate(zip(their, our, strict=False)) if a != b), min(len(their), len(our)))
    start = max(0, same - 120)
    head = f"{their[:60]}… " if start else ""
    return [f"- {head}{their[start : same + 200]}", f"+ {head}{our[start : same + 200]}"]


def main() -> None:
    """See the module."""
    from tests.interop.localstage import staged

    for number in sys.argv[1:]:
        name = f"random-{number}"
        print(f"#### {number} {json.dumps(world(int(number)).settings)}", flush=True)
        try:
            for line in differences(staged("postfix", name), staged("ours", name)):
                print(line, flush=True)
        except AssertionError as error:
            print(f"FAILED {str(error)[-3000:]}", flush=True)


if __name__ == "__main__":
    main()
