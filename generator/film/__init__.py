"""Films of a finished scene: where the camera goes, what each frame holds, and the files they end in."""
