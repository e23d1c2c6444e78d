"""Times of pylstm and of other libraries that have an LSTM, taking turns in one run."""
