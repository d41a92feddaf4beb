"""main.cf, master.cf and the parameter registry.

``Config`` is what everyone reads; ``ConfigError`` is what goes wrong. How parameters are declared:
``angarium.config.registry``.
"""

from __future__ import annotations

from angarium.config.config import Config, configuration_directory
from angarium.config.error import ConfigError

__all__ = ["Config", "ConfigError", "configuration_directory"]
