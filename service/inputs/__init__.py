"""Bytes to pixels, and what exactly is wrong with them where they are none; no HTTP, no PyTorch."""
