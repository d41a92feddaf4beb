"""The client's side of the protocols by which lookup tables are asked over a network, without I/O."""
