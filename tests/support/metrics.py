"""What a service says in its metrics."""

from __future__ import annotations

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import Server


def scrape(server: Server) -> dict[tuple[object, ...], float]:
    """The value of every sample, by its name and labels: ``figures[sample("name", label="value")]``."""
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    return {
        sample(found.name, **found.labels): found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
    }


def sample(name: str, /, **labels: str) -> tuple[object, ...]:
    """The key of a sample."""
    return (name, *sorted(labels.items()))


def queue_depth(server: Server) -> float:
    """How many requests wait for the model."""
    return scrape(server)[sample("inference_queue_depth")]


def is_computing(server: Server) -> bool:
    """Whether the model has taken the only request there is; the other one in flight is this scrape."""
    figures = scrape(server)
    return (figures[sample("http_requests_in_flight")], figures[sample("inference_queue_depth")]) == (2, 0)


def reloads(server: Server) -> tuple[float, ...]:
    """How many reloads succeeded, and how many failed."""
    figures = scrape(server)
    return tuple(figures[sample("model_reloads_total", result=result)] for result in ("success", "failure"))
