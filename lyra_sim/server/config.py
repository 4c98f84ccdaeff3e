"""The settings of a server, checked before it binds."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lyra_sim.errors import LyraSimError

MIN_TOKEN_CHARACTERS = 16


@dataclass(frozen=True)
class ServerConfig:
    """Everything a server needs to know.

    Raises:
        LyraSimError: A value is out of range, or the address is open to others and there is no token.
    """

    data: Path
    """Folder of the job database, the uploads and the results."""
    host: str = "127.0.0.1"
    """Address to bind."""
    port: int = 8765
    """TCP port to bind; 0 lets the system choose."""
    token: str | None = field(default=None, repr=False)
    """Bearer token that every request must carry; None allows everybody on this machine."""
    queue_length: int = 8
    """Jobs that may wait; one more is refused."""
    max_upload_bytes: int = 512 << 20
    """Largest picture or video accepted."""
    keep_jobs: int = 50
    """Finished jobs whose results are kept; older ones are removed."""
    command: tuple[str, ...] = (sys.executable, "-m", "lyra_sim")
    """The words that start lyra-sim."""

    def __post_init__(self) -> None:
        """Refuse what cannot work or would be unsafe."""
        for option, value, least in (
            ("--port", self.port, 0),
            ("--queue", self.queue_length, 1),
            ("--max-upload-mb", self.max_upload_bytes, 1),
            ("--keep-jobs", self.keep_jobs, 1),
        ):
            if value < least:
                raise LyraSimError(f"{option} {value}: must be at least {least}")
        if self.port > 65535:
            raise LyraSimError(f"--port {self.port}: must be at most 65535")
        if self.token is not None and len(self.token) < MIN_TOKEN_CHARACTERS:
            raise LyraSimError(
                f"The token has {len(self.token)} characters; use at least {MIN_TOKEN_CHARACTERS}, for example "
                "from `python -c 'import secrets; print(secrets.token_urlsafe())'`"
            )
        if self.token is None and not is_loopback(self.host):
            raise LyraSimError(
                f"--host {self.host} lets other machines in, so a token is needed: put one in a file and give "
                "--token-file, or set LYRA_SIM_TOKEN"
            )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
