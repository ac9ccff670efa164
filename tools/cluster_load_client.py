"""Asks without pause until a file appears, then prints what became of every request, as JSON.

    python cluster_load_client.py URL STOP_FILE

Runs inside the cluster, in a pod with the service's image: needs the standard library only. Half of the
workers open a connection for each request; the others keep theirs, and send a request again, as every
HTTP client may, if the server closed the idle connection in that very moment.
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


def ask(connection):
    """One prediction; raises unless it is answered with a 200 and a whole body."""
    connection.request("POST", "/predict", BODY, HEADERS)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise OSError(f"status {response.status}: {answer}")
    return response.getheader("X-Served-By", "?")


def work(address, stop, keep, seen):
    """Ask until the stop file is there; `seen` counts what happened."""
    connection = None
    while True:
        reused = connection is not None
        connection = connection or http.client.HTTPConnection(address, timeout=30)
        try:
            try:
                served_by = ask(connection)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused:
                    raise
                seen["sent again"] += 1
                connection = http.client.HTTPConnection(address, timeout=30)
                served_by = ask(connection)
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
    """Work in eight threads and print the sum."""
    url, stop = sys.argv[1:3]
    address = urlsplit(url).netloc
    counters = [collections.Counter() for _ in range(8)]
    threads = [
        threading.Thread(target=work, args=(address, stop, index % 2 == 0, seen))
        for index, seen in enumerate(counters)
    ]
    for thread in threads:
        thread.start()
    print("asking", flush=True)
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
