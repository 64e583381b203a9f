"""Numbers of hypothesis' examples, which `make test-fast` cuts to a quarter."""

import hypothesis

# What a profile has when nobody says otherwise; a test's own number is meant beside it.
_USUAL = 100


def scaled(count: int) -> int:
    """Returns how many examples a test takes under the profile that is loaded, at least 5."""
    return max(5, count * hypothesis.settings.default.max_examples // _USUAL)
