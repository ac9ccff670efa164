"""The weights file that the settings name, loaded to be served."""

from __future__ import annotations

import logging

from service import cpu
from service.inference.batching import MAX_BATCH_SIZE, batch_sizes
from service.inference.measuring import SHORT_SECONDS
from service.inference.model import Model, load_model
from service.settings import Settings

logger = logging.getLogger(__name__)

# A batch that is over so soon runs in the event loop: to hand it over to the model's thread and back costs 25
# to 50 us and the caches' contents. Where the thread has a CPU of its own, the event loop gains by a larger
# batch's being computed meanwhile.
INLINE_SECONDS, INLINE_SECONDS_BESIDE_THREAD = SHORT_SECONDS, SHORT_SECONDS / 4
# Of the time that a request may wait: one batch may be running, and one before it may be full.
LONGEST_BATCH_SHARE = 0.25


def load_served_model(settings: Settings) -> Model:
    """Load the weights file, with the batch limit and the threads that are set, or that measurement finds.

    Raises:
        InvalidModel: it is not fit to serve.
    """
    limit = settings.max_batch_size
    cpus, source = cpu.cpu_limit(settings.cpu_limit)
    model = load_model(
        settings.model_path,
        batch_sizes=batch_sizes(limit or MAX_BATCH_SIZE),
        longest_batch_seconds=None if limit else settings.queue_timeout_seconds * LONGEST_BATCH_SHARE,
        inline_seconds=INLINE_SECONDS if cpus < 2 else INLINE_SECONDS_BESIDE_THREAD,
        max_threads=0 if settings.num_threads else cpu.whole_cpus(cpus),
        sha256=settings.model_sha256,
        min_accuracy=settings.model_min_accuracy,
        max_bytes=settings.max_model_bytes,
    )
    if settings.model_name:
        model.card = model.card.renamed(settings.model_name)
    logger.info(
        "computing with %d thread(s) (%s), up to %d image(s) at once (%s), one image in %.3g ms; %s",
        model.num_threads,
        source,
        model.batch_sizes[-1],
        "MAX_BATCH_SIZE" if limit else "measured",
        1000 * model.batch_seconds[1],
        model.kernels.value,
    )
    return model
