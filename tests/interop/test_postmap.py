"""Our postmap and postalias beside the real ones: the same files, the same calls, the same answers."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from angarium.commands import postalias, postmap

REAL = {name: shutil.which(name, path="/usr/sbin:/usr/bin:/bin") for name in ("postmap", "postalias")}

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(None in REAL.values() and not os.environ.get("CI"), reason="needs Postfix's postmap"),
]

FILES = {
    "plain": "k v\nA B\nUser+x@Example.COM  two words \n",
    "lines": 'a b\n  c d  \n\n # cmt\n   e\n\tf\nonlykey\n"q s" val\n"q\\"s" v2\n"unb v\nx"y z"w  t \n'
    "A@B up\n: x\nfoo: bar\n  \nlast",
    "leading": "  lead one which is long enough to be cut\n  more\nk v\n",
    "latin": b"caf\xe9 v\nk caf\xe9\nok ok\n",
    "nul": b"k v\0w\nz\0y t\n",
    "crlf": 'k  "quoted value"\r\nj v\r\n\\ba\\ck sl\\ash\n"a\\b" q\n',
    "empty": "",
    "unicode": "É up\nSTRASSE s\nstraße t\nSchloß u\nİ dot\nسلام fa\n",
    "double": "k v\nK w\nk x\n",
    "long": "k" * 400 + " " + "v" * 9000 + "\nb " + "w" * 1500 + "\n",
    "aliases": 'Postmaster: root\n"two words": joe\nroot:bob,\n\tamy   , "carl x"@y.z\n'
    "pipe: \"|/usr/bin/prog -x 'a b'\"\ninc: :include:/etc/list, /var/file\nnovalue:\nnocolon x\n: empty\n"
    "a@b.test: x\na b: y\n"
    '"quo\\"te": z\nDUP: 2\ndup: 1\ncom (comment) : v (cmt) w\nÜnï: ü\ncolon\\:ed: t\n',
    "one": "a\n",
    "two": "b\n",
    "contents": "k one, two\nw  one\nz nofile\n",
    "message": "From: a@b\nSubject: hello\n folded\nX-Y :z\n\npreamble\n\nlast\n",
    "regexp": "/^k(.)/ <$1>\n/x/i ix\n!/./ empty\n/hello/ found\n/^X-Y: z/ normal\n",
}
PARTS = (
    "Content-Type: multipart/mixed; boundary=XX\n\npre\n--XX\nContent-Type: text/plain\nX: y\n\npart\n--XX\n"
    "Content-Type: message/rfc822\n\nFrom: inner@x\nSubject: in\n\nbody\n--XX--\nepilogue\n"
)
KEYS = 'k\nK\nnone\na\n"q s"\nq s\nuser+x@example.com\nUSER+X@EXAMPLE.COM\nfoo:\nÉ\né\nschloss\nSCHLOSS\nok\nj\nسلام\n'
BUILT = ("hash", "btree", "lmdb", "cdb")


def make(directory):
    directory.mkdir()
    (directory / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file =\n")
    for name, content in FILES.items():
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in ("main.cf", *FILES):
        os.utime(directory / name, (1_500_000_000, 1_500_000_000))
    return directory


class Pair:
    """Two directories of the same files: one for the real programs, one for ours."""

    def __init__(self, base):
        self.theirs = make(base / "theirs")
        self.ours = make(base / "ours")

    def real(self, words, data=b""):
        done = subprocess.run(
            [REAL[words[0]], *words[1:]], input=data, capture_output=True, cwd=self.theirs,
            env={"MAIL_CONFIG": str(self.theirs), "PATH": "/usr/bin:/bin"}, timeout=20,
        )  # fmt: skip
        return done.returncode, done.stdout, said(done.stderr)

    def mine(self, words, data=b""):
        main = {"postmap": postmap, "postalias": postalias}[words[0]].main
        out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            patch.chdir(self.ours)
            patch.setenv("MAIL_CONFIG", str(self.ours))
            patch.setenv("PATH", "/usr/bin:/bin")
            patch.delenv("path", raising=False)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
            status = main(words[1:])
        return status, out.buffer.getvalue(), said(errors.getvalue().encode("utf-8", "replace"))


def said(errors):
    """The complaints, each once: some table types read their file several times."""
    lines = errors.decode("utf-8", "replace").splitlines()
    return list(dict.fromkeys(line for line in lines if line.startswith("post")))


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def compare(pair, calls, *, any_order=False):
    for call in calls:
        words, data = call if isinstance(call, tuple) else (call, "")
        data = data if isinstance(data, bytes) else data.encode()
        theirs, ours = pair.real(words.split(" "), data), pair.mine(words.split(" "), data)
        if any_order or " -s" in words:
            theirs, ours = (
                (theirs[0], sorted(theirs[1].splitlines()), theirs[2]),
                (ours[0], sorted(ours[1].splitlines()), ours[2]),
            )
        assert ours == theirs, words


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("name", [name for name in FILES if name not in ("one", "two", "contents", "message")])
def test_builds_asks_and_lists(pair, kind, name):
    compare(pair, [f"postmap {kind}:{name}", (f"postmap -q - {kind}:{name}", KEYS)])
    if kind != "cdb":  # cannot be listed
        compare(pair, [f"postmap -s {kind}:{name}"])


OTHER = [
    "postmap", "postmap -x", "postmap -q", "postmap -q a", "postmap -q a -s hash:plain",
    "postmap -d a -q b hash:plain", "postmap -s -d a hash:plain", "postmap -q a -q b hash:plain",
    "postmap nosuch/file", "postmap hash:nosuch/file", "postmap -q k nosuch", "postmap -q k hash:nosuch",
    "postmap -s hash:nosuch", "postmap -d k hash:nosuch", "postmap -s lmdb:nosuch", "postmap -q k cdb:nosuch",
    "postmap -q k nis:x", "postmap -s nis:x", "postmap -d k nis:x", "postmap nis:plain",
    "postmap -q k texthash:nosuch", "postmap -q k regexp:nosuch", "postmap -q k cidr:nosuch",
    "postmap -b -q k hash:plain", "postmap -c /nosuch -q k hash:plain", "postmap regexp:plain", "postmap cidr:plain",
    "postmap texthash:plain", "postmap fail:plain", "postmap static:plain", "postmap proxy:hash:plain",
    "postmap -q k nosuchtype:plain", "postmap -i cdb:plain", "postmap -d k cdb:plain", "postmap -d k texthash:plain",
    "postmap -d k regexp:regexp", "postmap -d k inline:{a=b}", "postmap -d k static:x", "postmap -d k fail:x",
    "postmap -d k environ:x", "postmap -d k unionmap:{static:x}", "postmap -s static:x", "postmap -s environ:x",
    "postmap -s fail:x", "postmap -s unix:passwd.byname", "postmap -s regexp:empty", "postmap -s inline:{a=b,c=d}",
    "postmap -s texthash:plain", "postmap -s texthash:lines", "postmap -q k static:", "postmap -q k environ:",
    "postmap -q k fail:x", "postmap -q k static:{a", "postmap -q k static:{a}b", "postmap -q k static:{a}",
    "postmap -q k unix:nosuch", "postmap -q NOBODY unix:passwd.byname", "postmap -q daemon unix:group.byname",
    "postmap -q none unix:passwd.byname", "postmap -q PATH environ:x", "postmap -q path environ:x",
    "postmap -q k inline:{k}", "postmap -q k inline:{}", "postmap -q k inline:{K=v,k=w}", "postmap -q k inline:k=v",
    "postmap -q k inline:{k=v", "postmap -q k inline:{{k=v}x}", "postmap -q k inline:{k=a=b}",
    "postmap -q k inline:{k=}", "postmap -q k pipemap:{inline:{k=j},inline:{j=z}}",
    "postmap -q x pipemap:{inline:{k=j},static:z}", "postmap -q k pipemap:{inline:{k=j},fail:x}",
    "postmap -q k unionmap:{inline:{k=j},fail:x}", "postmap -q k pipemap:{}", "postmap -q k unionmap:inline:{k=v}",
    "postmap -q k pipemap:{nosuchtype:x}", "postmap -q k pipemap:{foo}",
    "postmap -q k unionmap:{inline:{k=a},inline:{j=c},static:d}",
    "postmap -q none unionmap:{inline:{k=a},inline:{j=c}}", "postmap -q k randmap:{a}", "postmap -q k randmap:{}",
    "postmap -q k randmap:a,b", "postmap -q k randmap:{a,b", "postmap -q k static:1 static:2",
    "postmap -q none texthash:plain inline:{none=here}", "postmap -q k texthash:double",
    "postmap -q K texthash:plain", "postmap -f -q K texthash:plain", "postmap -f -q A texthash:plain",
    "postmap -f -q a texthash:plain", "postmap -F -q k texthash:contents", "postmap -F -q w texthash:contents",
    "postmap -u -q ok texthash:latin", "postmap -q ok texthash:latin", "postalias", "postalias -b", "postalias -q k",
    "postalias -s texthash:plain", "postalias -q k static:x", "postalias nosuch", "postalias -s cdb:nosuch",
    "postalias -m -q - static:x", "postmap -q found regexp:regexp", "postmap -q xX regexp:regexp",
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the real ones answer; asked at once, for a program of Postfix that fails waits for a second."""
    pair = Pair(tmp_path_factory.mktemp("one call"))
    with ThreadPoolExecutor(20) as pool:
        return pair, dict(zip(OTHER, pool.map(lambda call: pair.real(call.split(" ")), OTHER), strict=True))


@pytest.mark.parametrize("call", OTHER)
def test_one_call(answers, call):
    pair, theirs = answers
    status, out, errors = pair.mine(call.split(" "))
    assert (status, sorted(out), errors) == (theirs[call][0], sorted(theirs[call][1]), theirs[call][2])


FLOWS = {
    "increments": [
        "postmap K:plain",
        ("postmap -i K:plain", "k n\nnew x\nK n\n"),
        "postmap -s K:plain",
        ("postmap -i -r K:plain", "k n2\n"),
        "postmap -q k K:plain",
        ("postmap -i -w K:plain", "k n3\nn4 v\n"),
        "postmap -s K:plain",
    ],
    "deletes": [
        "postmap K:plain",
        "postmap -d K K:plain",
        "postmap -d k K:plain",
        ("postmap -d - K:plain", "A\nnone\n"),
        ("postmap -d - K:plain", "none\n"),
        "postmap -s K:plain",
        "postmap -d user+x@example.com K:plain",
        "postmap -s K:plain",
    ],
    "replaces": [
        "postmap -r K:double",
        "postmap -s K:double",
        "postmap -w K:double",
        "postmap -s K:double",
        "postmap K:double",
    ],
    "fresh": [("postmap -i K:fresh", "x y\nbad\n  lead\n"), "postmap -s K:fresh"],
    "folds": [
        "postmap -f K:plain",
        "postmap -s K:plain",
        "postmap -f -q A K:plain",
        "postmap -f -q a K:plain",
        "postmap -q A K:plain",
        "postmap -f -d a K:plain",
        "postmap -f -d A K:plain",
    ],
    "endings": [
        "postmap -N K:plain",
        ("postmap -q - K:plain", KEYS),
        "postmap -n K:plain",
        ("postmap -q - K:plain", KEYS),
        ("postmap -N -q - K:plain", KEYS),
        ("postmap -n -q - K:plain", KEYS),
        "postmap -N K:plain",
        "postmap -n -q k K:plain",
        "postmap -N -q k K:plain",
        ("postmap -N -q - K:plain", KEYS),
    ],
    "endings of what goes": [
        "postmap K:plain",
        "postmap -n -d k K:plain",
        "postmap -N -d k K:plain",
        ("postmap -n -i K:plain", "k n\nnew x\n"),
        "postmap -N -d new K:plain",
        "postmap -n -q new K:plain",
        "postmap -n -d new K:plain",
        "postmap -s K:plain",
    ],
    "bytes": [
        "postmap -u K:latin",
        "postmap -s K:latin",
        "postmap -q k K:latin",
        "postmap -u -q k K:latin",
        ("postmap -q - K:latin", b"caf\xe9\nok\n"),
        ("postmap -u -q - K:latin", b"caf\xe9\nok\n"),
    ],
    "contents": [
        "postmap -F K:contents",
        "postmap -s K:contents",
        "postmap -F -s K:contents",
        "postmap -F -q k K:contents",
        ("postmap -F -q - K:contents", "k\nw\nz\n"),
        "postmap K:plain",
        "postmap -F -q k K:plain",
    ],
    "several": [
        "postmap K:plain K:double",
        "postmap -q a K:double K:plain",
        ("postmap -q - K:double K:plain", KEYS),
        "postmap -d k K:plain K:double",
        "postmap -s K:plain",
        "postmap -s K:double",
    ],
    "aliases": [
        "postalias K:aliases",
        ("postalias -q - K:aliases", 'Postmaster\ntwo words\nroot\nDUP\nnone\nquo"te\nÜNÏ\n'),
        ("postalias -i K:aliases", "root: new\nx: y, z\n"),
        "postalias -q x K:aliases",
        "postalias -d X K:aliases",
        "postalias -q x K:aliases",
        "postalias -q postmaster K:aliases",
        "postalias -d nosuch K:aliases",
    ],
    "latin aliases": [
        "postalias K:latin",
        "postalias K:plain",
        "postalias K:empty",
        "postalias -f K:aliases",
        "postalias -q Postmaster K:aliases",
    ],
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in BUILT
        for name in FLOWS
        if kind != "cdb" or name in ("endings", "contents", "latin aliases")
    ],
)
def test_one_call_after_another(pair, kind, name):
    calls = [(call, "") if isinstance(call, str) else call for call in FLOWS[name]]
    compare(pair, [(words.replace("K:", f"{kind}:"), data) for words, data in calls])


@pytest.mark.parametrize("options", ["-h", "-b", "-hb", "-m", "-hm", "-bm", "-hbm", "-hbU", "-hbu"])
@pytest.mark.parametrize("table", ["static:x", "regexp:regexp"])
def test_keys_out_of_a_message(pair, options, table):
    messages = [
        FILES["message"],
        "no header\nb",
        "H: x\nnot\n\nc\n",
        "\nb\n",
        " x\nH: y\nb\n",
        "H : y\nH:  \nJ:\n t\r\n\tu  \nb\r\n",
        "From x\nH: y\n",
        "H: only\n",
        "",
        b"caf\xe9: x\n\nb\xe9\n",
        PARTS,
    ]
    compare(pair, [(f"postmap {options} -q - {table}", each) for each in messages])


def test_a_key_that_is_not_there(pair):
    compare(
        pair,
        [
            "postmap hash:plain",
            ("postmap -q - hash:plain", "\n\nk\n  k\nk \n#k\n"),
            ("postmap -q - static:x", "\n \na\0b\nend"),
        ],
    )


def age(directory, name, when):
    os.utime(directory / name, (when, when))


def test_a_stale_table(pair):
    compare(pair, ["postmap hash:plain", "postmap lmdb:plain", "postmap cdb:plain", "postmap btree:double"])
    for directory in (pair.theirs, pair.ours):
        for name in ("plain.db", "plain.lmdb", "plain.cdb", "double.db"):
            age(directory, name, 1_400_000_000)
    compare(
        pair,
        ["postmap -q k hash:plain", "postmap -q k lmdb:plain", "postmap -q k cdb:plain", "postmap -q k btree:double"],
    )


@pytest.mark.parametrize("options", ["", "-p ", "-o "])
def test_who_may_read_the_file(pair, options):
    for mode in (0o640, 0o600, 0o664, 0o444):
        for directory in (pair.theirs, pair.ours):
            (directory / "plain").chmod(mode)
            (directory / "plain.db").unlink(missing_ok=True)
        compare(pair, [f"postmap {options}hash:plain"])
        assert oct((pair.ours / "plain.db").stat().st_mode) == oct((pair.theirs / "plain.db").stat().st_mode)


@pytest.mark.parametrize("kind", BUILT)
def test_files_go_to_and_fro(pair, kind):
    """Each reads, and but for cdb changes, what the other has built."""
    suffix = {"lmdb": ".lmdb", "cdb": ".cdb"}.get(kind, ".db")
    many = "".join(f"user{number}@example{number % 97}.test value number {number}\n" for number in range(5000))
    for directory in (pair.theirs, pair.ours):
        (directory / "many").write_text(many)
        age(directory, "many", 1_500_000_000)
    compare(pair, [f"postmap {kind}:many"])
    ours = (pair.ours / f"many{suffix}").read_bytes()
    (pair.ours / f"many{suffix}").write_bytes((pair.theirs / f"many{suffix}").read_bytes())
    (pair.theirs / f"many{suffix}").write_bytes(ours)
    keys = "".join(f"USER{number}@example{number % 97}.test\n" for number in range(0, 5100, 7))
    compare(pair, [(f"postmap -q - {kind}:many", keys)])
    if kind != "cdb":
        added = "".join(f"more{number} {'x' * number}\n" for number in range(3000))
        compare(pair, [(f"postmap -i {kind}:many", added), f"postmap -d user7@example7.test {kind}:many"])
        compare(pair, [f"postmap -s {kind}:many", (f"postmap -q - {kind}:many", keys + "more2999\n")])
