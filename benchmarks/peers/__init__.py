"""Times of pylstm, PyTorch and ONNX Runtime, taking turns in one run."""
