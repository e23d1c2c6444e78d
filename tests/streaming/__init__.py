"""One time step at a time."""
