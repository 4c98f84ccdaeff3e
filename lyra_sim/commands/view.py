"""`lyra-sim view`: look at a scene in a browser, live or as one page."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import webbrowser
from pathlib import Path

from lyra_sim.commands.options import add_up_axis, parse_axes
from lyra_sim.errors import LyraSimError

PORT = 8080

EPILOG = """\
examples:
  lyra-sim view scene.usdz                          # then open the address that it prints
  lyra-sim view scene.usdz --html scene.html        # one file; opens from disk, without a network
  lyra-sim view capture.ply --up-axis=-y:z
  lyra-sim view scene.usdz --cameras kept/transforms.json
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `view` command."""
    parser = subparsers.add_parser(
        "view",
        help="look at a scene in a browser, live or as one page that opens from disk",
        description="Show splats, collider, labels and cameras; measure in metres; cut with a box.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a file that `lyra-sim convert` reads")
    parser.add_argument(
        "--html", type=Path, metavar="PAGE", help="write one self-contained page instead of serving"
    )
    parser.add_argument("--port", type=int, metavar="N", help=f"port of the live viewer ({PORT})")
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        help="address to bind (127.0.0.1); anybody who reaches another one sees the scene",
    )
    parser.add_argument(
        "--cameras", type=Path, metavar="FILE", help="transforms.json whose cameras to show (the scene's own)"
    )
    add_up_axis(parser)
    parser.add_argument(
        "--max-gaussians", type=int, metavar="N", help="show only the N Gaussians that cover most"
    )
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page, or serve until Ctrl-C."""
    from lyra_sim.viewer.exhibit import open_exhibit

    if args.html is not None:
        from lyra_sim.viewer.page import check_target

        if args.port is not None or args.host is not None:
            raise LyraSimError("--html writes a page and serves nothing; leave out --port and --host")
        check_target(args.html)
    else:
        from lyra_sim.viewer.live import require_viser

        require_viser()
    exhibit = open_exhibit(
        args.scene,
        cameras=args.cameras,
        up_axis=parse_axes(args.up_axis),
        max_gaussians=args.max_gaussians,
    )
    if args.html is not None:
        from lyra_sim.viewer.page import write_page

        size = write_page(args.html, exhibit)
        _say(f"{args.html}: {size / 1e6:.1f} MB, {len(exhibit.scene.gaussians):,} Gaussians; opens from disk")
        if args.open:
            _open(args.html.absolute().as_uri())
        return 0
    from lyra_sim.viewer.live import live_view

    host, port = args.host or "127.0.0.1", PORT if args.port is None else args.port
    with contextlib.suppress(KeyboardInterrupt), live_view(exhibit, host=host, port=port) as view:
        _say(f"lyra-sim view: {view.url} (Ctrl-C ends it)")
        if args.open:
            _open(view.url)
        threading.Event().wait()
    return 0


def _open(url: str) -> None:
    """Open a browser; where there is none, say so and go on, since the address works elsewhere."""
    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        _say(f"--open: found no browser here; open {url} yourself")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
