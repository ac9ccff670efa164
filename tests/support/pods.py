"""The pods of an Indexed Job on this machine: each with its network, host name and first process of its own.

What the kubelet and the cluster's DNS would do is done with network namespaces, which need root. Their files
are those of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

NETWORK = "10.111.7."
# The group that a pod's files belong to, so that they tell who wrote them.
FIRST_GROUP = 12_000


def missing() -> str:
    """Why this machine cannot have such pods, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "unshare", "setpriv"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    name = f"probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return "network namespaces are not allowed here"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


class Pods:
    """The two pods of a Job as it is rendered; `paths` are the places here of its folders."""

    def __init__(self, job: dict[str, Any], folder: Path, paths: dict[str, Path]) -> None:
        self.name = job["metadata"]["name"]
        self.pod = job["spec"]["template"]["spec"]
        [self.container] = self.pod["containers"]
        self.folder = folder
        self.paths = paths
        self.namespaces = [f"pod-{os.getpid()}-{index}" for index in (0, 1)]
        self.started: list[list[subprocess.Popen[bytes]]] = [[], []]

    def __enter__(self) -> Pods:
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _connect(self) -> None:
        """Make the two networks, and a cable between them."""
        for index, namespace in enumerate(self.namespaces):
            subprocess.run(["ip", "netns", "add", namespace], check=True)
            hosts = (
                Path("/etc/netns") / namespace / "hosts"
            )  # `ip netns exec` puts it in the place of /etc/hosts
            hosts.parent.mkdir(parents=True)
            hosts.write_text(self._hosts(index))
            (hosts.parent / "resolv.conf").write_text("")
        links = [f"eth-{os.getpid()}-{index}"[:15] for index in (0, 1)]
        first, second = self.namespaces
        pair = ["ip", "link", "add", links[0], "netns", first, "type", "veth"]
        subprocess.run([*pair, "peer", "name", links[1], "netns", second], check=True)
        for index, (namespace, link) in enumerate(zip(self.namespaces, links, strict=True)):
            for command in (
                f"link set {link} name eth0",
                f"addr add {NETWORK}{index + 1}/24 dev eth0",
                "link set eth0 up",
                "link set lo up",
            ):
                subprocess.run(["ip", "-n", namespace, *command.split()], check=True)

    def __exit__(self, *_: object) -> None:
        """End the pods, and take their networks away."""
        for index in (0, 1):
            if self.started[index]:
                self.kill(index)
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace])
            shutil.rmtree(Path("/etc/netns") / namespace, ignore_errors=True)

    def _hosts(self, own: int) -> str:
        """The kubelet's line for the pod itself, and what DNS would say of it and of the other."""
        lines = ["127.0.0.1 localhost", self._line(own, f"{self.name}-{own}")]
        lines += [self._line(index, f"{self.name}-{index}.{self.pod['subdomain']}") for index in (0, 1)]
        return "\n".join(lines) + "\n"

    def _line(self, index: int, name: str) -> str:
        full = f"{self.name}-{index}.{self.pod['subdomain']}.default.svc.cluster.local"
        return f"{NETWORK}{index + 1} {full} {name}"

    def environment(self, index: int) -> dict[str, str]:
        """The variables of the container, in a pod of one CPU."""
        given = {
            each["name"]: "1" if "valueFrom" in each else str(each.get("value", ""))
            for each in self.container["env"]
        }
        found = {name: self._here(value, index) for name, value in given.items()}
        # The first three are of the image.
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **found,
            "JOB_COMPLETION_INDEX": str(index),
        }

    def _here(self, text: str, index: int) -> str:
        """The text with the places of the pod's folders on this machine; /tmp is each pod's own."""
        paths = {**self.paths, "/tmp": self.tmp(index)}
        return re.sub(
            "|".join(f"(?<![^=]){path}(?=/|$)" for path in paths), lambda found: str(paths[found[0]]), text
        )

    def tmp(self, index: int) -> Path:
        """The pod's /tmp."""
        path = self.folder / f"tmp-{index}"
        path.mkdir(exist_ok=True)
        return path

    def log(self, index: int) -> str:
        """What all pods of this index have said."""
        path = self.folder / f"{index}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, index: int) -> None:
        """Start the container, in a new pod of that index."""
        environment = self.environment(index)
        words = [*self.container["command"], *self.container.get("args", [])]
        words = [re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], word) for word in words]
        assert words[0] == "python"
        command = [sys.executable, *(self._here(word, index) for word in words[1:])]
        # The container's process is the first one, as in a pod: it has number 1, and all end with it.
        pod = ["ip", "netns", "exec", self.namespaces[index]]
        # In this order: a change of group after --kill-child would let the pod survive.
        pod += ["setpriv", "--regid", str(FIRST_GROUP + index), "--clear-groups"]
        pod += ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
        named = ["sh", "-c", 'hostname "$0"; exec "$@"', f"{self.name}-{index}"]
        with (self.folder / f"{index}.log").open("ab") as log:
            self.started[index].append(
                subprocess.Popen(
                    [*pod, *named, *command],
                    cwd=self._here(self.container["workingDir"], index),
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            )

    def status(self, index: int) -> int | None:
        """The exit status of the last pod of that index; nothing while it runs."""
        return self.started[index][-1].poll()

    def kill(self, index: int) -> None:
        """End the pod without a word, as a node that fails does, or the kernel that is out of memory."""
        with suppress(ProcessLookupError):
            self.started[index][-1].send_signal(signal.SIGKILL)
        self.started[index][-1].wait()

    def restarts(self, index: int) -> int:
        """How many pods of that index came after the first."""
        return len(self.started[index]) - 1
