"""docs/security.md speaks of settings that there are."""

import re
from pathlib import Path

from scripts.cli.environment import variable
from scripts.settings_reference import settings_classes

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def test_every_variable_on_the_page_is_a_setting() -> None:
    known = {variable(settings, field) for settings in settings_classes() for field in settings.model_fields}
    named = set(re.findall(r"MILLRACE_\w+", PAGE))
    assert named
    assert named <= known


def test_every_setting_that_protects_a_connection_is_on_the_page() -> None:
    known = {variable(settings, field) for settings in settings_classes() for field in settings.model_fields}
    protecting = {name for name in known if re.search(r"_(SSL|SASL|SECURITY|SECURE|CA)(_|$)", name)}
    assert protecting <= set(re.findall(r"MILLRACE_\w+", PAGE))
