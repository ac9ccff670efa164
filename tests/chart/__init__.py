"""Tests of the chart, rendered with real Helm, and of the image that it runs."""
