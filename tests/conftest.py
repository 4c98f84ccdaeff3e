"""What all tests share: examples may take as long as the machine needs, because no test is a timed one."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
