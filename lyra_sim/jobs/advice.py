"""Say what to do about a failure, for the failures that people meet."""

from __future__ import annotations

import re

_ADVICE = {
    r"out of memory|CUDA error|cudnn|cublas": (
        "The GPU has too little free memory; the simulator's renderer shares it. Choose size mini or the CPU "
        "as device, close other stages, or run `lyra-sim serve` on another machine."
    ),
    r"signal 9": (
        "The system ended lyra-sim, most likely for memory. Close other programs or choose size mini."
    ),
    r"no space left|disk is full": (
        "The disk is full. Free some space, or choose another output folder in the settings."
    ),
    r"No module named|cannot import|ModuleNotFoundError": (
        "The lyra-sim installation is incomplete. Run `lyra-sim doctor` in a terminal."
    ),
    r"checkpoint|weights": (
        "Weights are missing or damaged. Run `lyra-sim doctor` in a terminal: it lists what each size needs."
    ),
    r"was not found|No such file": (
        "Install lyra-sim in its own Python environment (`pip install lyra-sim`) and set the path of its "
        "command in the settings below."
    ),
    r"token|401|Unauthorized": "Put the server's token in a file and set that file in the settings.",
    r"cannot be reached|refused|timed out": (
        "Check that `lyra-sim serve` runs there and that the address in the settings is right."
    ),
}


def advice(message: str) -> str:
    """Return a sentence that says what to do about `message`; empty when we know nothing better."""
    for pattern, text in _ADVICE.items():
        if re.search(pattern, message, re.IGNORECASE):
            return text
    return ""
