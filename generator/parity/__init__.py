"""Compare this code with golden vectors of the official implementations: `python -m generator.parity FOLDER`."""
