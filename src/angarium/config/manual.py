"""Documents made from the registry: ``docs/manual/postconf.5.md`` and ``docs/compatibility.md``.

``python -m angarium.config.manual docs`` writes them; a test fails when they no longer say what the registry says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from angarium.config.differences import DIFFERENCES
from angarium.config.obsolete import GONE, OLD
from angarium.config.parameter import Parameter, Status, Type
from angarium.config.per_service import service_parameters
from angarium.config.registry import registry

_TYPES = {
    Type.STRING: "text",
    Type.INTEGER: "number",
    Type.BOOLEAN: "yes or no",
    Type.TIME: "time",
    Type.SIZE: "bytes",
    Type.ENUM: "one of",
    Type.TABLES: "lookup tables or patterns",
    Type.RESTRICTIONS: "restrictions",
    Type.NAMES: "words",
    Type.RAW: "text, its names filled in at use",
    Type.LEGACY: "older name",
}


def postconf() -> str:
    """The manual page of main.cf: what every honoured parameter is for."""
    return "\n".join(_postconf()) + "\n"


def _postconf() -> Iterator[str]:
    honoured = [each for each in registry().values() if each.status is Status.HONOURED and each.type is not Type.LEGACY]
    yield "# postconf(5): the parameters of main.cf"
    yield ""
    yield "Made from the registry by `python -m angarium.config.manual docs`; change `src/angarium/config/registry/`."
    yield ""
    yield (
        f"These {len(honoured)} parameters have an effect. What becomes of the others that Postfix knows stands in "
        "[compatibility.md](../compatibility.md). A star marks what Postfix does not have."
    )
    for program in sorted({each.program for each in honoured}):
        yield f"\n## {program}"
        for parameter in honoured:
            if parameter.program == program:
                yield f"\n### {parameter.name}{'' if parameter.compatible else ' *'}\n"
                yield parameter.help
                yield ""
                yield f"{_kind(parameter)}; default: {_code(parameter.default)}"


def _kind(parameter: Parameter) -> str:
    text = _TYPES[parameter.type]
    if parameter.type is Type.ENUM:
        text += " " + ", ".join(choice or "(empty)" for choice in parameter.choices)
    if parameter.type is Type.TIME:
        text += f" (in {parameter.unit} without a unit)"
    if parameter.minimum is not None and parameter.type is not Type.STRING:
        text += f", at least {parameter.minimum}"
    if parameter.maximum is not None and parameter.type is not Type.STRING:
        text += f", at most {parameter.maximum}"
    return text


def _code(text: str) -> str:
    """A default as Markdown code; backquotes in it need a longer fence."""
    if not text:
        return "empty"
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def compatibility() -> str:
    """What becomes of each parameter that Postfix has."""
    return "\n".join(_compatibility()) + "\n"


def _compatibility() -> Iterator[str]:
    known = [each for each in registry().values() if each.compatible and each.type is not Type.LEGACY]
    yield "# Parameters of Postfix here"
    yield ""
    yield "Made from the registry by `python -m angarium.config.manual docs`; change `src/angarium/config/registry/`."
    yield ""
    yield "Every parameter of Postfix 3.9 is accepted. `postfix check` and each start say which settings do nothing."
    for status, title in (
        (Status.HONOURED, "Honoured"),
        (Status.NO_EFFECT, "Without effect: there is nothing here that they could change"),
        (Status.UNSUPPORTED, "Not supported yet"),
    ):
        chosen = [each for each in known if each.status is status]
        yield f"\n## {title} ({len(chosen)})\n"
        yield from _table(chosen, with_reason=status is not Status.HONOURED)
    yield from _of_services()
    yield from _obsolete()
    yield from _differences()


def _of_services() -> Iterator[str]:
    """Parameters that exist once a service, with what becomes of them."""
    yield "\n## Of one transport or service\n"
    yield "| name | default | here |"
    yield "|---|---|---|"
    for parameter in service_parameters([("transport", "pipe")]).values():
        behind = registry().get(parameter.default.removeprefix("$"))
        if behind is None or behind.status is Status.HONOURED:
            here = "honoured"
        else:
            here = f"{_STATUS[behind.status]}: {behind.reason}"
        name = parameter.name.removeprefix("transport")
        yield f"| `<service>{name}` | {_code(parameter.default)} | {here} |"


def _obsolete() -> Iterator[str]:
    yield f"\n## Names that Postfix itself has given up ({len(GONE)})\n"
    yield "They are unused parameters there and here; `postfix check` names what took their place."
    yield ""
    yield ", ".join(sorted(GONE)) + "."
    yield f"\n## Older names that still work ({len(OLD)})\n"
    yield "| older name | write instead |"
    yield "|---|---|"
    for name, instead in OLD.items():
        yield f"| {name} | {instead} |"


def _differences() -> Iterator[str]:
    yield "\n# Where the same configuration does something else here"
    for area, differences in DIFFERENCES.items():
        yield f"\n## {area}\n"
        yield from (f"- {text}" for text in differences)


def _table(parameters: Iterable[Parameter], *, with_reason: bool) -> Iterator[str]:
    if not with_reason:
        yield "[What they are for](manual/postconf.5.md)."
        yield ""
        yield ", ".join(each.name for each in parameters) + "."
        return
    by_reason: dict[str, list[str]] = {}
    for each in parameters:
        by_reason.setdefault(each.reason, []).append(each.name)
    yield "| why | parameters |"
    yield "|---|---|"
    for reason in sorted(by_reason):
        yield f"| {reason or 'not there yet'} | {', '.join(by_reason[reason])} |"


_STATUS = {Status.NO_EFFECT: "without effect", Status.UNSUPPORTED: "not supported"}

DOCUMENTS = {"manual/postconf.5.md": postconf, "compatibility.md": compatibility}


def write(directory: Path) -> None:
    """Write all documents below ``directory``. Raises OSError."""
    for name, render in DOCUMENTS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
