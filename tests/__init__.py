"""Tests: real servers, real Helm, real MNIST."""
