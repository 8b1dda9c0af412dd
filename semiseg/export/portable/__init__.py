"""A run's networks in other programs' formats: ONNX, TorchScript, with all that is needed to use them in JSON."""
