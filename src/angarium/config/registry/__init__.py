"""The registry: every parameter of main.cf, declared once.

One module a program (``smtpd.py``, ``qmgr.py``, ``imapd.py`` …), each with a tuple ``PARAMETERS``. Every module of
this package is loaded by itself: to add a program, add a file. The form::

    from angarium.config.parameter import Parameter, Status, Type

    PARAMETERS = (
        Parameter("imapd_timeout", Type.TIME, "30m", "How long an IMAP client may be silent.", "imapd", unit="m",
                  minimum=1, compatible=False),
        Parameter("imapd_use_proctitle", Type.BOOLEAN, "no", "", "imapd", Status.NO_EFFECT,
                  "workers serve many sessions", compatible=False),
    )

- Names are in Postfix's style: ``<program>_<what>``, lower case. Times end in what they are (``_timeout``, ``_delay``).
- Defaults are written as in main.cf; ``$other`` is allowed. A computed default is declared with an empty default here
  and computed in ``config.derived``.
- ``status`` is HONOURED when code reads it, NO_EFFECT with a ``reason`` when there is nothing here that it could
  change, UNSUPPORTED when what it asks for is not done. A test compares this with what the code reads.
- ``compatible=False`` marks what Postfix does not have.

Parameters that exist once a service of master.cf (``<transport>_destination_concurrency_limit`` …) are in
``config.per_service``. Nothing here does I/O beyond importing; the registry is immutable.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import lru_cache

from angarium.config.parameter import Parameter


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Parameter]:
    """All parameters by name, in alphabetical order. Raises ValueError when a name is declared twice."""
    found: dict[str, Parameter] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        parameters: tuple[Parameter, ...] = importlib.import_module(module.name).PARAMETERS
        for parameter in parameters:
            if parameter.name in found:
                msg = f"{parameter.name} is declared twice, the second time in {module.name}"
                raise ValueError(msg)
            found[parameter.name] = parameter
    return {name: found[name] for name in sorted(found)}
