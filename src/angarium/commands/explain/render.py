"""An explanation as lines for people and as a value for ``--json``. A source that is a parameter becomes its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from angarium.commands.explain.engine import Explanation, Way
from angarium.commands.explain.tracing import Hit
from angarium.config.config import Config
from angarium.model.lookup import TemporaryError
from angarium.model.verdict import TrailStep, Verdict


def place(conf: Config, source: str) -> str:
    """``relayhost`` or ``main.cf: relayhost`` -> ``/etc/postfix/main.cf:7 relayhost``; others stay."""
    name = source.removeprefix("main.cf: ")
    setting = conf.setting(name)
    if setting is not None:
        return f"{setting.place} {name}"
    return f"{name} (default)" if conf.declared(name) is not None else source


class Renderer:
    """Renders one explanation. ``conf`` is that of the smtpd service."""

    def __init__(self, conf: Config, explanation: Explanation) -> None:
        self._conf = conf
        self._all = explanation

    def lines(self) -> tuple[str, ...]:
        """For people."""
        done, question = self._all, self._all.question
        log_in = f", logged in as {question.sasl}" if question.sasl else ""
        who = f"client {done.client_name}[{question.client}], HELO {question.helo}{log_in}"
        result = [f"{who}, to service {done.service.name} ({done.service.file}:{done.service.line})", ""]
        for answer in done.answers:
            result += self._stage(answer.stage, answer.verdict)
        if done.asked:
            result += ["", "Tables that had something to say:", *map(self._hit, done.asked)]
        if done.message is not None or done.refusal:
            result += ["", "Rewriting:", *self._rewriting()]
        if done.header:
            result += ["", "Header:", *(f"    {line}" for line in done.header)]
        if done.ways:
            result += ["", "Delivery:"]
            for way in done.ways:
                result += self._way(way)
        result += ["", f"Outcome: {done.reply}"]
        if done.alternatives.turning:
            result.append(f"It would be {'accepted' if done.refused else 'refused'} if, other things being equal,")
            result += [f"    {words}" for words in done.alternatives.turning]
        else:
            result.append("No single change that was tried turns it round.")
        if done.alternatives.shifting:
            result.append("Something else would refuse it if")
            result += [f"    {words}" for words in done.alternatives.shifting]
        if done.warnings:
            result += ["", "In the log:", *(f"    {line}" for line in done.warnings)]
        return tuple(result)

    def _stage(self, stage: str, verdict: Verdict) -> Iterator[str]:
        answer = str(verdict.reply) if verdict.refused else "go on"
        yield f"{stage}: {answer}"
        list_name = ""
        for step in verdict.trail:
            if step.list_name != list_name:
                list_name = step.list_name
                yield f"  {place(self._conf, list_name)}"
            yield self._step(step)
        for request in verdict.requests:
            yield f"    asks for {request.effect.value}: {request.text} [{place(self._conf, request.source)}]"

    def _step(self, step: TrailStep) -> str:
        text = f"    {step.rule}: {step.answer}"
        if not step.reason:
            return text
        reason = step.reason.removeprefix(step.rule).removeprefix(": ")
        where = "" if step.source == step.list_name else f" [{place(self._conf, step.source)}]"
        return f"{text}{f' ({reason})' if reason else ''}{where}"

    def _hit(self, hit: Hit) -> str:
        what = f"cannot be asked: {hit.value}" if hit.failed else f"{hit.key} -> {hit.value}"
        where = hit.source if hit.source.startswith(hit.table) else f"{hit.table}, {hit.source}"
        return f"    {what} [{where}]"

    def _rewriting(self) -> Iterator[str]:
        done = self._all
        yield from map(self._hit, done.rewriting)
        if done.message is None:
            yield f"    refused: {done.refusal}"
            return
        sender = done.message.envelope.sender
        kept = sender == done.question.sender
        yield f"    sender <{done.question.sender}>{'' if kept else f' becomes <{sender}>'}"
        people = ", ".join(f"<{each.address}>" for each in done.message.envelope.recipients)
        same = people == f"<{done.question.recipient}>"
        yield f"    recipient <{done.question.recipient}>" + ("" if same else f" becomes {people or 'nobody'}")
        if done.message.hold:
            yield "    put on hold"
        if done.message.discard:
            yield "    thrown away"

    def _way(self, way: Way) -> Iterator[str]:
        found = way.resolution
        yield f"    <{way.recipient}>" + (f" from <{way.sender}>" if way.sender else "")
        if not isinstance(found, TemporaryError):
            yield f"        class {found.address_class.value}, transport {found.transport}, nexthop {found.nexthop}"
            yield f"        because of {found.reason} [{place(self._conf, found.source)}]"
        yield from (f"        {line}" for line in way.ending.lines)

    def value(self) -> dict[str, object]:
        """For programs."""
        done, question = self._all, self._all.question
        message = done.message
        return {
            "client": {
                "name": done.client_name,
                "address": question.client,
                "helo": question.helo,
                "sasl": question.sasl,
            },
            "service": {"name": done.service.name, "source": f"{done.service.file}:{done.service.line}"},
            "sender": question.sender,
            "recipient": question.recipient,
            "outcome": "refused" if done.refused else "accepted",
            "reply": done.reply,
            "stages": [
                {
                    "stage": answer.stage,
                    "action": answer.verdict.action.value,
                    "reply": str(answer.verdict.reply) if answer.verdict.refused else "",
                    "reason": answer.verdict.reason,
                    "source": place(self._conf, answer.verdict.source),
                    "steps": [
                        {
                            "list": step.list_name,
                            "rule": step.rule,
                            "answer": step.answer,
                            "reason": step.reason,
                            "source": place(self._conf, step.source) if step.source else "",
                        }
                        for step in answer.verdict.trail
                    ],
                    "requests": [
                        {"effect": each.effect.value, "text": each.text, "source": each.source}
                        for each in answer.verdict.requests
                    ],
                }
                for answer in done.answers
            ],
            "tables": [_hit_value(hit) for hit in done.asked],
            "rewriting": {
                "tables": [_hit_value(hit) for hit in done.rewriting],
                "sender": message.envelope.sender if message else None,
                "recipients": [each.address for each in message.envelope.recipients] if message else [],
                "hold": bool(message and message.hold),
                "discard": bool(message and message.discard),
                "header": list(done.header),
            },
            "delivery": [self._way_value(way) for way in done.ways],
            "alternatives": list(done.alternatives.turning),
            "other_refusals": list(done.alternatives.shifting),
            "warnings": list(done.warnings),
        }

    def _way_value(self, way: Way) -> dict[str, object]:
        found = way.resolution
        if way.sender:
            return {"sender": way.sender, **self._way_value(replace(way, sender=""))}
        if isinstance(found, TemporaryError):
            return {"recipient": way.recipient, "error": f"{found.source}: {found.cause}", **way.ending.facts}
        return {
            "recipient": way.recipient,
            "class": found.address_class.value,
            "transport": found.transport,
            "nexthop": found.nexthop,
            "reason": found.reason,
            "source": place(self._conf, found.source),
            "lines": list(way.ending.lines),
            **way.ending.facts,
        }


def _hit_value(hit: Hit) -> dict[str, object]:
    return {"table": hit.table, "key": hit.key, "value": hit.value, "source": hit.source, "failed": hit.failed}
