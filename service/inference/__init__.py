"""The weights file, the TorchScript model, the micro-batcher and the reloader; no HTTP."""
