"""The subcommands of `lyra-sim`, one module each: `add_parser(subparsers)` and `run(args)`.

The modules import nothing heavy at the top, so that `lyra-sim --help` is instant.
"""
