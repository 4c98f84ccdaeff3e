"""Generate 3D Gaussians from text, pictures and video (torch lives here, not in `lyra_sim`)."""
