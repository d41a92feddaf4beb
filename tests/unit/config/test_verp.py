import pytest

from angarium.config.config import Config
from angarium.config.error import ConfigError
from angarium.config.verp import verp_rules
from angarium.model.verp import VerpRules


def test_the_usual_ones():
    assert verp_rules(Config.of({})) == VerpRules("+=", "-=+")


def test_others():
    settings = {"default_verp_delimiters": "!:", "verp_delimiter_filter": "!:%"}
    assert verp_rules(Config.of(settings)) == VerpRules("!:", "!:%")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"default_verp_delimiters": ""}, "bad string length 0 < 2: default_verp_delimiters = "),
        ({"default_verp_delimiters": "+"}, "bad string length 1 < 2: default_verp_delimiters = +"),
        ({"default_verp_delimiters": "+=-"}, "bad string length 3 > 2: default_verp_delimiters = +=-"),
        ({"verp_delimiter_filter": ""}, "bad string length 0 < 1: verp_delimiter_filter = "),
        ({"default_verp_delimiters": "%="}, "parameters default_verp_delimiters and verp_delimiter_filter: bad first "),
        ({"default_verp_delimiters": "+%"}, "parameters default_verp_delimiters and verp_delimiter_filter: bad second"),
        ({"verp_delimiter_filter": "!:"}, "parameters default_verp_delimiters and verp_delimiter_filter: bad first "),
    ],
)
def test_what_postfix_does_not_start_with(settings, complaint):
    with pytest.raises(ConfigError) as caught:
        verp_rules(Config.of(settings))
    assert caught.value.text.startswith(complaint)
