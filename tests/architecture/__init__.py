"""The rules of the house, executed: who may use whom, what is where."""
