"""From a folder of latents in the published layout to scene files: what `lyra-sim decode` does."""
