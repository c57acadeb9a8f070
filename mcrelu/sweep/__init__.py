"""What a user asks for: specs, sweeps, cells and blocks."""
