"""`lyra-sim serve`: generate scenes for a second machine or a team."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from pathlib import Path

from lyra_sim.errors import LyraSimError

DESCRIPTION = """\
Take jobs over HTTP, run them one at a time, and hand out the results. The panel in Isaac Sim and
`lyra-sim gen --server URL` are its clients; the OpenAPI page is at /docs.

By default only this machine can connect. With --host, other machines can, and every request must carry a token:
from --token-file, or from the variable LYRA_SIM_TOKEN. The connection is not encrypted; across networks that you
do not trust, put it behind an SSH tunnel or a proxy with TLS.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `serve` command."""
    parser = subparsers.add_parser(
        "serve",
        help="take jobs over HTTP, for a second machine or a team",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to bind (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="port to bind (8765)")
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="file that holds the bearer token")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the job database and results")
    parser.add_argument("--queue", type=int, default=8, metavar="N", help="jobs that may wait (8)")
    parser.add_argument("--max-upload-mb", type=int, default=512, metavar="N", help="largest upload (512)")
    parser.add_argument("--keep-jobs", type=int, default=50, metavar="N", help="finished jobs to keep (50)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from lyra_sim.server.config import ServerConfig

    config = ServerConfig(
        data=(args.data or default_data_folder()).expanduser().resolve(),
        host=args.host,
        port=args.port,
        token=read_token(args.token_file),
        queue_length=args.queue,
        max_upload_bytes=args.max_upload_mb << 20,
        keep_jobs=args.keep_jobs,
    )
    try:
        import uvicorn

        from lyra_sim.server.app import create_app
    except ImportError as error:
        raise LyraSimError(
            f"lyra-sim serve needs more packages ({error}): pip install 'lyra-sim[serve]'"
        ) from error
    with bind(config.host, config.port) as listener:
        try:
            app = create_app(config)
        except OSError as error:
            raise LyraSimError(f"--data {config.data}: cannot be written ({error.strerror})") from error
        host, port = listener.getsockname()[:2]
        sys.stderr.write(
            f"lyra-sim serve: http://{f'[{host}]' if ':' in host else host}:{port} (page: /docs)\n"
        )
        sys.stderr.flush()
        # Streams of events end with their job; they must not keep the server from stopping.
        settings = uvicorn.Config(
            app, log_level="warning", limit_concurrency=100, timeout_graceful_shutdown=2
        )
        # uvicorn raises the signal that stopped it once more, after it has stopped.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listener])
    return 0


def default_data_folder() -> Path:
    """Return the folder for data in the user's home."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "lyra-sim" / "serve"


def read_token(file: Path | None) -> str | None:
    """Return the token from a file or from LYRA_SIM_TOKEN; never from the command line, which everybody can list.

    Raises:
        LyraSimError: The file cannot be read or is empty.
    """
    if file is None:
        return os.environ.get("LYRA_SIM_TOKEN", "").strip() or None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LyraSimError(f"--token-file {file}: cannot be read ({error})") from error
    if not token:
        raise LyraSimError(f"--token-file {file}: is empty")
    return token


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        LyraSimError: The address is not ours or the port is taken.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, reuse_port=False)
    except OSError as error:
        raise LyraSimError(
            f"--host {host} --port {port}: cannot be bound ({error.strerror or error}); choose another port"
        ) from error
