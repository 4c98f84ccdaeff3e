"""Teachers: from conditioning and cameras to posed video along several trajectories."""
