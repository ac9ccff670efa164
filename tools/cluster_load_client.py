"""Send predictions in a loop until a file appears, then print as JSON how the requests ended.

    python cluster_load_client.py URL STOP_FILE

Runs in the cluster, in a pod with the service's image, and needs only the standard library. Half of its
threads open a connection for each request. The others reuse theirs; if the server closes the idle connection
just when a request is sent, they send it again, as HTTP clients may.
"""

import collections
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

BODY = json.dumps({"image": [0.0] * 400 + [1.0] * 20 + [0.0] * 364})
HEADERS = {"Content-Type": "application/json"}


def predict(connection):
    """Send one prediction; return the pod that answered. Raises unless it gets a 200 with a complete body."""
    connection.request("POST", "/predict", BODY, HEADERS)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise OSError(f"status {response.status}: {answer}")
    return response.getheader("X-Served-By", "?")


def send_until_stopped(address, stop, keep, seen):
    """Send predictions until the stop file exists; `seen` counts how they ended."""
    connection = None
    while True:
        reused = connection is not None
        connection = connection or http.client.HTTPConnection(address, timeout=30)
        try:
            try:
                served_by = predict(connection)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused:
                    raise
                seen["sent again"] += 1
                connection = http.client.HTTPConnection(address, timeout=30)
                served_by = predict(connection)
            seen[f"pod {served_by}"] += 1
        except Exception as error:
            seen[f"failed {type(error).__name__}: {error}"] += 1
            keep_this = False
        else:
            keep_this = keep
        if not keep_this:
            connection.close()
            connection = None
        if Path(stop).exists():
            return
        time.sleep(0.01)


def main():
    """Send from eight threads and print the sum of their counts."""
    url, stop = sys.argv[1:3]
    address = urlsplit(url).netloc
    counters = [collections.Counter() for _ in range(8)]
    threads = [
        threading.Thread(target=send_until_stopped, args=(address, stop, index % 2 == 0, seen))
        for index, seen in enumerate(counters)
    ]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    for thread in threads:
        thread.join()
    total = sum(counters, collections.Counter())
    answered = {key: count for key, count in total.items() if key.startswith("pod ")}
    errors = {key: count for key, count in total.items() if key.startswith("failed ")}
    failed = sum(errors.values())
    result = {
        "sent": sum(answered.values()) + failed,
        "failed": failed,
        "errors": errors,
        "sent again": total["sent again"],
        "pods": len(answered),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
