"""Settings that last: where lyra-sim is, and where scenes go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from .jobs import JobError

EXTENSION = "lyra.sim.panel"
DEFAULTS = f"/exts/{EXTENSION}"
PERSISTENT = f"/persistent/exts/{EXTENSION}"


class Settings(Protocol):
    """What we use of `carb.settings.ISettings`."""

    def get_as_string(self, path: str) -> str:
        """Return a setting; an absent one is empty."""

    def set_string(self, path: str, value: str) -> None:
        """Set one."""


@dataclass(frozen=True)
class Preferences:
    """The lasting settings; empty means the default."""

    command: str = ""
    """The lyra-sim command of the user's own Python."""
    server: str = ""
    """Address of a `lyra-sim serve`; when it is set, scenes are made there."""
    token_file: str = ""
    """File that holds the server's token; the token itself is never stored in settings."""
    output_folder: str = ""
    """Where scenes are kept."""

    @classmethod
    def load(cls, settings: Settings) -> Preferences:
        """Read the user's choices, or else the defaults of the extension."""
        return cls(
            **{
                name: settings.get_as_string(f"{PERSISTENT}/{name}")
                or settings.get_as_string(f"{DEFAULTS}/{name}")
                for name in asdict(cls())
            }
        )

    def save(self, settings: Settings) -> None:
        """Write the user's choices, which Kit keeps on disk."""
        for name, value in asdict(self).items():
            settings.set_string(f"{PERSISTENT}/{name}", value)

    @property
    def output(self) -> Path:
        """The folder for scenes."""
        return (
            Path(self.output_folder).expanduser() if self.output_folder else Path.home() / "lyra-sim-scenes"
        )

    def token(self) -> str | None:
        """Read the server's token.

        Raises:
            JobError: The file cannot be read.
        """
        if not self.token_file:
            return None
        try:
            return Path(self.token_file).expanduser().read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(f"Token file {self.token_file}: cannot be read ({error})") from error
