"""How the time of a training step grows with steps, batch, hidden units and threads, and how much memory it takes."""
