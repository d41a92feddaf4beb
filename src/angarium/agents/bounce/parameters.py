"""The parameters of bounce(8), read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from angarium.agents.bounce.interface import Event
from angarium.agents.bounce.templates import TEMPLATES, TIMES, UNITS, Template, names_in, read_templates

if TYPE_CHECKING:
    from angarium.config import Config


@dataclass(frozen=True, slots=True)
class BounceParameters:
    """What making notices needs; each field is the parameter of that name in postconf(5), times in seconds.

    ``second_bounce_notice_recipient`` is ``2bounce_notice_recipient``; ``templates`` are those of
    ``bounce_template_file``, and ``mentioned`` the parameters that these mention.
    """

    myhostname: str
    myorigin: str
    notify_classes: frozenset[str] = frozenset({"resource", "software"})
    bounce_notice_recipient: str = "postmaster"
    second_bounce_notice_recipient: str = "postmaster"
    delay_notice_recipient: str = "postmaster"
    bounce_size_limit: int = 50_000
    double_bounce_sender: str = "double-bounce"
    delay_warning_time: float = 0.0
    maximal_queue_lifetime: float = 432_000.0
    enable_threaded_bounces: bool = False
    disable_verp_bounces: bool = False
    templates: Mapping[Event, Template] = field(default_factory=lambda: TEMPLATES)
    mentioned: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_config(cls, conf: Config, warn: Callable[[str], None] = lambda _text: None) -> BounceParameters:
        """Read them from main.cf; ``warn`` hears what is wrong with the template file."""
        templates = _templates(conf, warn)
        return cls(
            myhostname=conf.text("myhostname"),
            myorigin=conf.text("myorigin"),
            notify_classes=frozenset(name.lower() for name in conf.names("notify_classes")),
            bounce_notice_recipient=conf.text("bounce_notice_recipient"),
            second_bounce_notice_recipient=conf.text("2bounce_notice_recipient"),
            delay_notice_recipient=conf.text("delay_notice_recipient"),
            bounce_size_limit=conf.size("bounce_size_limit"),
            double_bounce_sender=conf.text("double_bounce_sender"),
            delay_warning_time=conf.seconds("delay_warning_time"),
            maximal_queue_lifetime=conf.seconds("maximal_queue_lifetime"),
            enable_threaded_bounces=conf.boolean("enable_threaded_bounces"),
            disable_verp_bounces=conf.boolean("disable_verp_bounces"),
            templates=templates,
            mentioned={
                name: conf.text(name)
                for template in templates.values()
                for name in names_in(template.text)
                if conf.declared(name) is not None or conf.setting(name) is not None
            },
        )

    def complete(self, address: str) -> str:
        """``address`` as headers show it: a bare name gets our domain."""
        return address if "@" in address else f"{address}@{self.myorigin}"

    def value(self, name: str) -> str:
        """What ``$name`` is in a template: a time in the unit that its name ends with, or a parameter."""
        for time in TIMES:
            unit = name.removeprefix(f"{time}_")
            if unit in UNITS:
                return str(int(getattr(self, time)) // UNITS[unit])
        return self.myhostname if name == "myhostname" else self.mentioned.get(name, "")

    @property
    def double_bounce_address(self) -> str:
        """The sender of what goes to the postmaster: a bounce of that ends here."""
        return f"{self.double_bounce_sender}@{self.myhostname}"


def _templates(conf: Config, warn: Callable[[str], None]) -> Mapping[Event, Template]:
    path = conf.text("bounce_template_file")
    if not path:
        return TEMPLATES
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        warn(f"bounce_template_file {path}: {error}")
        return TEMPLATES
    return read_templates(text, lambda cause: warn(f"bounce_template_file {path}, {cause}"))
