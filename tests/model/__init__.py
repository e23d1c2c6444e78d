"""Model files, and the models that come out of them."""
