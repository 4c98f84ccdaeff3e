"""GEN3C: the video diffusion model that imagines a scene along camera paths, guided by a 3D cache."""
