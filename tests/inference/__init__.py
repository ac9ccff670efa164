"""Tests of `service.inference`: the weights file, the model, the batcher, the reloader."""
