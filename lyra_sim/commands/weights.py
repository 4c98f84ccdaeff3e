"""`lyra-sim weights`: get, check and remove the published weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lyra_sim.errors import LyraSimError

if TYPE_CHECKING:
    from generator.weights.registry import Entry
    from generator.weights.store import Store

EPILOG = """\
examples:
  lyra-sim weights list
  lyra-sim weights pull lyra-static --accept-licence
  lyra-sim weights import cosmos-tokenizer ~/Downloads/model.pt
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `weights` command and its actions."""
    parser = subparsers.add_parser(
        "weights",
        help="list, pull, import, verify or remove the published weights of the full size",
        description="Keep the published weights, converted to safetensors, in one folder (LYRA_SIM_WEIGHTS). "
        "The mini size needs none of them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show what there is, what is here, sizes and licences")
    pull = _named(actions, "pull", "download from the hub, convert and verify")
    pull.add_argument(
        "--accept-licence", action="store_true", help="accept the licence of the weights; remembered"
    )
    bring = _named(actions, "import", "convert and verify a file that you have")
    bring.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="the published file, beside its further ones, or a model's folder",
    )
    for action in (pull, bring):
        action.add_argument(
            "--any-version", action="store_true", help="go on when a checksum differs from the published one"
        )
    _named(actions, "verify", "compare checksums of one entry, or of all that are here", optional=True)
    _named(actions, "path", "print the path of an entry's card")
    _named(actions, "remove", "delete the converted weights of an entry")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; results go to stdout, progress to stderr."""
    from generator.weights.pull import import_file, pull
    from generator.weights.registry import find_entry
    from generator.weights.store import Store

    store = Store()
    if args.action == "list":
        return _list(store)
    if args.action == "verify" and args.name is None:
        return _verify_all(store)
    entry = find_entry(args.name)
    if args.action == "pull":
        pull(entry, store, accept_licence=args.accept_licence, any_version=args.any_version, say=_say)
    elif args.action == "import":
        _say(f"{entry.name} is under this licence: {entry.licence} ({entry.page})")
        import_file(entry, args.file, store, any_version=args.any_version, say=_say)
    elif args.action == "verify":
        store.verify(entry)
    elif args.action == "remove":
        store.remove(entry, _say)
        _say(f"{entry.name}: removed from {store.folder}; the hub's own cache was left as it is")
        return 0
    elif not store.has(entry):
        raise LyraSimError(f"{entry.name} is not in {store.folder}; run lyra-sim weights pull {entry.name}")
    if args.action != "path":
        _say(f"{entry.name}: verified")
    sys.stdout.write(f"{store.card_path(entry)}\n")
    return 0


def _named(
    actions: argparse._SubParsersAction, action: str, purpose: str, *, optional: bool = False
) -> argparse.ArgumentParser:
    parser = actions.add_parser(action, help=purpose, description=purpose.capitalize() + ".")
    options = {"nargs": "?"} if optional else {}
    parser.add_argument("name", metavar="NAME", help="an entry of `lyra-sim weights list`", **options)
    return parser


def _list(store: Store) -> int:
    from generator.weights.registry import ENTRIES

    lines = [f"weights folder: {store.folder}", ""]
    for entry in ENTRIES:
        lines += [
            f"{entry.name:<17} {entry.title}",
            f"  here      {_state(store, entry)}",
            f"  source    {entry.repository}: {', '.join(file.name for file in entry.files) or 'the whole folder'}",
            f"  download  {entry.size}",
            f"  checksum  {', '.join(f.md5 for f in entry.files if f.md5) or 'not known'}",
            f"  licence   {entry.licence}{' (accepted)' if store.accepted(entry) else ''}, {entry.page}",
            "",
        ]
    sys.stdout.write("\n".join(lines))
    return 0


def _state(store: Store, entry: Entry) -> str:
    from generator.weights.checkpoint import load_card

    if not store.has(entry):
        return "no"
    try:
        card = load_card(store.card_path(entry))
    except LyraSimError as error:
        return f"damaged: {error}"
    return f"yes, {card.get('bytes', 0) / 1e6:.1f} MB of {card.get('dtype', 'unknown type')}"


def _verify_all(store: Store) -> int:
    from generator.weights.registry import ENTRIES

    status = 0
    for entry in (entry for entry in ENTRIES if store.has(entry)):
        try:
            store.verify(entry)
            sys.stdout.write(f"{entry.name}: verified\n")
        except LyraSimError as error:
            sys.stdout.write(f"{entry.name}: damaged: {error}\n")
            status = 1
    return status


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
