"""uvicorn, with a drain that loses no request and a fast path for predictions."""
