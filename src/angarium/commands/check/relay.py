"""Open relay: who may send mail through this server to domains that are not ours.

The restriction lists of each SMTP service are evaluated over sets of clients instead of one client. A set is a
disjunction of conjunctions of conditions ("in mynetworks", "logged in", "claims a sender of table x"); the empty
conjunction is everybody. One list yields the union of what its restrictions permit before one refuses all strangers'
mail to foreign domains; mail is relayed when every list agrees, so the lists' sets are intersected. Restrictions that
refuse some clients only make the real set smaller and are passed over, so the result is an upper bound: where each
conjunction has a condition that the administrator vouches for, the server is proved to be no open relay.

``EFFECTS`` says what each restriction does to strangers. A test holds it against the policy engine's own tables: a
restriction that the engine learns has to be given its effect here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from angarium.commands.check.finding import Finding, Rule, Severity
from angarium.commands.check.installation import Installation, Place
from angarium.commands.check.networks import is_world
from angarium.commands.check.sources import Entry, entries
from angarium.commands.check.verbs import FINAL, RestrictionReader, Step
from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.master_cf import MasterService
from angarium.policy.parameters import SAFE_RELAY_RESTRICTIONS
from angarium.policy.restrictions import GUARDS

OPEN = Rule(
    "open-relay",
    Severity.ERROR,
    "{service} relays mail for everybody: {why}",
    "put reject_unauth_destination into smtpd_relay_restrictions, in front of what permits",
)
CLAIMED = Rule(
    "relay-by-claim",
    Severity.ERROR,
    "{service} relays mail for {clients}",
    "anybody can claim that: put reject_unauth_destination in front of it",
)
UNPROVED = Rule(
    "relay-unproved",
    Severity.NOTE,
    "{service} relays mail for {clients}",
    "what it answers cannot be seen from here; put it behind reject_unauth_destination if it need not decide this",
)
UNGUARDED = Rule(
    "relay-unguarded",
    Severity.ERROR,
    "{service}: nothing in smtpd_relay_restrictions or smtpd_recipient_restrictions keeps strangers from relaying",
    "every recipient gets 451 4.3.5: add reject_unauth_destination or defer_unauth_destination",
)

RULES = (OPEN, CLAIMED, UNPROVED, UNGUARDED)


class Trust(enum.Enum):
    """Who vouches for a condition."""

    KNOWN = "known"  # the administrator lists these clients or recipients, or they have proved who they are
    UNKNOWN = "unknown"  # somebody else decides: a service, a table that cannot be listed
    CLAIM = "claim"  # the client only has to say so


@dataclass(frozen=True, slots=True)
class Condition:
    """What a client has to be, have or say."""

    text: str
    trust: Trust


Clients = Mapping[frozenset[Condition], Place]
"""A set of clients: its conjunctions, each with the line that permits it."""


class Effect(enum.Enum):
    """What a restriction does to strangers' mail to foreign domains."""

    NONE = "none"  # refuses some, or speaks of our own domains only
    PERMIT = "permit"  # permits all
    STOP = "stop"  # refuses all
    GRANT = "grant"  # permits those of its condition
    TABLE = "table"  # permits those that its table says


_SUBJECTS = ("client", "reverse_client_hostname", "helo", "sender", "recipient")

GRANTS: Mapping[str, Condition] = {
    "permit_mynetworks": Condition("clients in mynetworks", Trust.KNOWN),
    "permit_sasl_authenticated": Condition("clients that have logged in", Trust.KNOWN),
    "permit_inet_interfaces": Condition("this machine itself", Trust.KNOWN),
    "permit_tls_clientcerts": Condition("clients with a certificate of relay_clientcerts", Trust.KNOWN),
    "permit_tls_all_clientcerts": Condition("clients with any certificate that a trusted CA signed", Trust.CLAIM),
    "permit_mx_backup": Condition("recipients in domains that name this server as an exchanger", Trust.KNOWN),
    "permit_naked_ip_address": Condition("clients that give an address as their HELO name", Trust.CLAIM),
    "permit_dnswl_client": Condition("clients that a DNS list names", Trust.UNKNOWN),
    "permit_rhswl_client": Condition("clients whose name a DNS list names", Trust.UNKNOWN),
    "check_policy_service": Condition("whomever a policy service permits", Trust.UNKNOWN),
}

_TABLES: Mapping[str, tuple[str, Trust]] = {
    "check_client_access": ("clients that {table} permits", Trust.KNOWN),
    "check_reverse_client_hostname_access": ("clients whose address has a name that {table} permits", Trust.CLAIM),
    "check_helo_access": ("clients that give a HELO name that {table} permits", Trust.CLAIM),
    "check_sender_access": ("clients that give a sender that {table} permits", Trust.CLAIM),
    "check_recipient_access": ("recipients that {table} permits", Trust.KNOWN),
    "check_etrn_access": ("nobody", Trust.KNOWN),
    "check_ccert_access": ("clients with a certificate that {table} permits", Trust.KNOWN),
    "check_sasl_access": ("logins that {table} permits", Trust.KNOWN),
}

EFFECTS: Mapping[str, Effect] = {
    "permit": Effect.PERMIT,
    **dict.fromkeys(
        ("reject", "defer", "reject_unauth_destination", "defer_unauth_destination", "check_relay_domains"), Effect.STOP
    ),
    "defer_if_permit": Effect.STOP,  # what is permitted behind it is deferred
    **dict.fromkeys(GRANTS, Effect.GRANT),
    **{verb: Effect.TABLE for verb in _TABLES if verb != "check_etrn_access"},
    "check_etrn_access": Effect.NONE,
    # An OK for the exchangers or name servers of somebody is a configuration error and never permits.
    **{f"check_{subject}_{kind}_access": Effect.NONE for subject in _SUBJECTS for kind in ("a", "mx", "ns")},
    **dict.fromkeys(
        (
            "permit_auth_destination",
            "defer_if_reject",
            "sleep",
            "check_recipient_maps",
            "reject_authenticated_sender_login_mismatch",
            "reject_invalid_helo_hostname",
            "reject_invalid_hostname",
            "reject_known_sender_login_mismatch",
            "reject_multi_recipient_bounce",
            "reject_non_fqdn_helo_hostname",
            "reject_non_fqdn_hostname",
            "reject_non_fqdn_recipient",
            "reject_maps_rbl",
            "reject_non_fqdn_sender",
            "reject_plaintext_session",
            "reject_rbl_client",
            "reject_rhsbl_client",
            "reject_rhsbl_helo",
            "reject_rhsbl_recipient",
            "reject_rhsbl_reverse_client",
            "reject_rhsbl_sender",
            "reject_sender_login_mismatch",
            "reject_unauth_pipelining",
            "reject_unauthenticated_sender_login_mismatch",
            "reject_unknown_address",
            "reject_unknown_client",
            "reject_unknown_client_hostname",
            "reject_unknown_helo_hostname",
            "reject_unknown_hostname",
            "reject_unknown_recipient_domain",
            "reject_unknown_reverse_client_hostname",
            "reject_unknown_sender_domain",
            "reject_unlisted_recipient",
            "reject_unlisted_sender",
            "reject_unverified_recipient",
            "reject_unverified_sender",
        ),
        Effect.NONE,
    ),
}

_BY_RECIPIENT = frozenset({"reject_unauth_destination", "defer_unauth_destination", "check_relay_domains"})
"""They have no opinion before there is a recipient."""

EVERYBODY: frozenset[Condition] = frozenset()
NOBODY: Clients = {}

LISTS = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
)

_ALSO_READ = ("smtpd_restriction_classes", "smtpd_delay_reject", "smtpd_sasl_auth_enable", "mynetworks")

_NESTING_LIMIT = 3
"""How deep tables are followed that answer with tables."""

_DEEP = Condition("whomever tables permit that answer with tables that answer with tables", Trust.UNKNOWN)

_CONJUNCTIONS = 1000
"""How many a set may have; beyond it a list is passed over, which only makes the bound larger."""

_ALL_KEYS = frozenset(
    {"*", "0.0.0.0/0", "::/0", "[::]/0", "//", "/./", "/.*/", "/.+/", "/^/", "/$/", "/^.*$/", "/^.*/"}
)


def check(site: Installation) -> Iterator[Finding]:
    """Find SMTP services that relay for strangers."""
    seen: set[tuple[str, ...]] = set()
    for view, entry in _servers(site):
        classes = [word for word, _place in site.words(view, "smtpd_restriction_classes")]
        key = tuple(site.text(view, name) for name in (*LISTS, *_ALSO_READ, *classes))
        if key not in seen:  # services that are configured alike are told of once
            seen.add(key)
            yield from _of_service(site, view, f"service {entry.name}" if entry is not None else "smtpd", entry)


def _servers(site: Installation) -> Iterator[tuple[Config, MasterService | None]]:
    entries_ = [entry for entry in site.services if entry.command == "smtpd"]
    for entry in entries_:
        yield site.conf.for_service(entry), entry
    if not entries_:
        yield site.conf, None


def _of_service(site: Installation, view: Config, service: str, entry: MasterService | None) -> Iterator[Finding]:
    lists = {name: RestrictionReader(site, view).read(name) for name in LISTS}
    unset = view.setting("smtpd_relay_restrictions") is None
    if unset and not lists["smtpd_relay_restrictions"] and not lists["smtpd_recipient_restrictions"]:
        safe = [(word, Place("", 0)) for word in SAFE_RELAY_RESTRICTIONS]  # what the engine takes then
        lists["smtpd_relay_restrictions"] = RestrictionReader(site, view).steps("smtpd_relay_restrictions", safe)
    guarded = any(_guards(steps) for name, steps in lists.items() if name in LISTS[3:])
    if not guarded:
        place = site.place(view, "smtpd_relay_restrictions")
        place = place if place.file else site.place(view, "smtpd_recipient_restrictions")
        yield Finding(
            UNGUARDED, *(place if place.file or entry is None else (entry.file, entry.line)), {"service": service}
        )
        return
    for conjunction, place in relayed(site, view, lists).items():
        at = place if place.file or entry is None else Place(entry.file, entry.line)
        trusts = {condition.trust for condition in conjunction}
        if not conjunction:
            yield Finding(
                OPEN, *at, {"service": service, "why": "no restriction refuses strangers before it is permitted"}
            )
        elif Trust.KNOWN not in trusts:
            rule = CLAIMED if Trust.CLAIM in trusts else UNPROVED
            clients = " and at once ".join(sorted(condition.text for condition in conjunction))
            yield Finding(rule, *at, {"service": service, "clients": clients})


def _guards(steps: Sequence[Step]) -> bool:
    """Whether something in a list keeps strangers from relaying, as the engine demands it."""
    for step in steps:
        if not step.warn and (_guards(step.steps) if step.steps is not None else step.verb in GUARDS):
            return True
        if step.verb in FINAL and not step.warn:
            return False  # the engine does not look at what stands behind it
    return False


def relayed(site: Installation, view: Config, lists: Mapping[str, Sequence[Step]]) -> Clients:
    """The clients whose mail to foreign domains every list lets pass."""
    clients: Clients = {EVERYBODY: Place("", 0)}
    for name in LISTS:
        clients = intersection(clients, _Evaluation(site, view, name).run(lists[name]))
    return clients


def union(left: Clients, right: Clients) -> Clients:
    """Clients of either set; a conjunction that another one contains is left out."""
    return _absorbed({**right, **left})


def intersection(left: Clients, right: Clients) -> Clients:
    """Clients of both sets."""
    if len(left) * len(right) > _CONJUNCTIONS:
        return left
    met: dict[frozenset[Condition], Place] = {}
    for first, place in left.items():
        for second, other in right.items():
            at, else_at = (other, place) if second or not first else (place, other)
            met.setdefault(first | second, at if at.file else else_at)
    return _absorbed(met)


def _absorbed(clients: Clients) -> Clients:
    return {each: place for each, place in clients.items() if not any(other < each for other in clients)}


class _Evaluation:
    """One list over sets of clients."""

    def __init__(self, site: Installation, view: Config, name: str) -> None:
        self._site = site
        self._view = view
        self._name = name
        self._reader = RestrictionReader(site, view)
        delayed = site.text(view, "smtpd_delay_reject") != "no"
        self._early = not delayed and name in LISTS[:3]  # asked before there is a recipient
        self._asked: list[str] = []  # tables whose answers are being looked at

    def run(self, steps: Sequence[Step]) -> Clients:
        """Whom the list permits."""
        permitted, stopped = self._walk(steps)
        if stopped:
            return permitted
        return union(permitted, {EVERYBODY: steps[-1].place if steps else Place("", 0)})

    def _walk(self, steps: Sequence[Step]) -> tuple[Clients, bool]:
        """Whom the steps permit, and whether they refuse all others."""
        permitted: Clients = NOBODY
        for step in steps:
            if step.steps is not None:
                inner, stopped = self._walk(step.steps)
                permitted = union(permitted, inner)
                if stopped and not step.warn:
                    return permitted, True
                continue
            if step.missing or not step.verb:
                if step.warn or step.verb == "warn_if_reject":
                    continue
                return permitted, True  # a fault answers 451 to everybody who gets here
            match EFFECTS.get(step.verb, Effect.NONE):
                case Effect.PERMIT:
                    return union(permitted, {EVERYBODY: step.place}), True
                case Effect.STOP if not step.warn and not (self._early and step.verb in _BY_RECIPIENT):
                    return permitted, True
                case Effect.GRANT:
                    permitted = union(permitted, self._granted(step))
                case Effect.TABLE:
                    permitted = union(permitted, self._by_table(step))
        return permitted, False

    def _granted(self, step: Step) -> Clients:
        if step.verb == "permit_sasl_authenticated" and self._site.text(self._view, "smtpd_sasl_auth_enable") == "no":
            return NOBODY
        if step.verb == "permit_mynetworks" and self._trusts_everybody():
            return {EVERYBODY: self._site.place(self._view, "mynetworks")}
        condition = GRANTS[step.verb]
        if step.argument:
            condition = Condition(f"{condition.text} ({step.argument})", condition.trust)
        return {frozenset({condition}): step.place}

    def _trusts_everybody(self) -> bool:
        try:
            return any(is_world(word) for word in set(self._view.names("mynetworks")))
        except ConfigError:
            return False

    def _by_table(self, step: Step) -> Clients:
        text, trust = _TABLES[step.verb]
        bare = step.argument
        while bare.startswith(("proxy:", "proxywrite:")):
            bare = bare.partition(":")[2]
        kind, _colon, name = bare.partition(":")
        table = f"{step.argument}"
        listed = entries(kind, name)
        if listed is None:
            unknown = Trust.UNKNOWN if trust is Trust.CLAIM else trust
            return {frozenset({Condition(text.format(table=table), unknown)}): step.place}
        permitted: Clients = NOBODY
        for entry in listed:
            by_entry = self._by_result(entry, step)
            if not by_entry:
                continue
            condition = Condition(text.format(table=table), trust)
            own = by_entry if entry.key in _ALL_KEYS else intersection({frozenset({condition}): step.place}, by_entry)
            permitted = union(permitted, own)
        return permitted

    def _by_result(self, entry: Entry, step: Step) -> Clients:
        """Whom the result of an access(5) table permits."""
        words = entry.value.replace(",", " ").split()
        first = words[0].upper() if words else ""
        if first == "OK" or (first.isdigit() and not (len(first) == 3 and first[0] in "45")):
            return {EVERYBODY: step.place}
        if not words or first in _RESULTS or first.isdigit():
            return NOBODY
        if step.argument in self._asked:
            return NOBODY  # the table again: it permits nobody whom it does not permit anyway
        if len(self._asked) >= _NESTING_LIMIT:
            return {frozenset({_DEEP}): step.place}
        self._asked.append(step.argument)
        try:
            return self._walk(self._reader.steps(self._name, [(word, step.place) for word in words], 1))[0]
        finally:
            self._asked.pop()


_RESULTS = frozenset(
    {
        "BCC",
        "DEFER",
        "DEFER_IF_PERMIT",
        "DEFER_IF_REJECT",
        "DISCARD",
        "DUNNO",
        "FILTER",
        "HOLD",
        "INFO",
        "PREPEND",
        "REDIRECT",
        "REJECT",
        "WARN",
    }
)
"""What an access(5) table may answer beside OK and a list of restrictions."""
