"""Tests of `service.inputs`: bytes become arrays, or a refusal that says what is wrong."""
