"""ResNet-18 behind TorchServe's own `image_classifier`, with batching and one worker.

TorchServe takes its settings from files, which are written beside the model, as is all that it unpacks. It
logs warnings only: at its defaults it writes fifteen lines for each request.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ts import model_server

# The batch is that of the other contenders. With one millisecond to wait, a lone request goes at once.
MODEL = {
    "defaultVersion": True,
    "marName": "resnet18.mar",
    "minWorkers": 1,
    "maxWorkers": 1,
    "batchSize": 8,
    "maxBatchDelay": 1,
}
LOGS = """
<Configuration>
  <Appenders><Console name="console"><PatternLayout pattern="%p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


def main() -> None:
    """Write the settings and start the server in the foreground."""
    store = Path(os.environ["MODEL_PATH"]).parent / "archive"
    folder = store.parent / "torchserve"
    folder.mkdir(exist_ok=True)
    # One address for predictions and management: that is where a worker says whether it is ready.
    address = f"http://{os.environ['HOST']}:{os.environ['PORT']}"
    settings = {
        "inference_address": address,
        "management_address": address,
        "metrics_address": f"unix:{folder}/metrics.sock",
        "grpc_inference_port": "0",
        "grpc_management_port": "0",
        "model_store": str(store),
        "load_models": MODEL["marName"],
        "models": json.dumps({"resnet18": {"1.0": MODEL}}),
    }
    config = folder / "config.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    logs = folder / "log4j2.xml"
    logs.write_text(LOGS)
    os.environ |= {"TMPDIR": str(folder), "TEMP": str(folder), "LOG_LOCATION": str(folder)}
    os.chdir(folder)
    sys.argv[1:] = ["--start", "--foreground", "--ncs", "--disable-token-auth"]
    sys.argv += ["--ts-config", str(config), "--log-config", str(logs)]
    model_server.start()


if __name__ == "__main__":
    main()
