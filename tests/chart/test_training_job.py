"""The Job that trains: its command, what it may publish, and what it leaves to the service."""

from __future__ import annotations

from pathlib import Path

import service
from tools import helm
from training.options import parse
from training.publish import PublishRefused


def test_pods_wait_for_the_weights_that_the_job_writes():
    objects = helm.render(helm.read_values(helm.CHART / "ci" / "training-values.yaml"))
    job = helm.find(objects, "Job")["spec"]["template"]["spec"]
    [wait] = helm.find(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"]

    assert job["containers"][0]["image"] == f"rust-ml-api:{service.__version__}-training"
    *command, run, resume, target, least, drop, threads = job["containers"][0]["command"]
    assert command == ["python", "-m", "training"]
    name = helm.find(objects, "Job")["metadata"]["name"]
    assert (run, resume) == (f"--out=/models/training/{name.removeprefix('rust-ml-api-train-')}", "--resume")
    assert (target, least, drop) == (
        "--publish=/models/mnist_cnn.pt",
        "--min-accuracy=0.98",
        "--max-drop=0.002",
    )
    assert threads == "--threads=$(CPU_LIMIT)"
    assert job["containers"][0]["args"] == ["--data", "/data", "--epochs", "1"]
    assert wait["args"] == ["/models/mnist_cnn.pt"]


def test_the_job_publishes_nothing_that_the_service_would_refuse():
    def command(settings, **training):
        values = {
            "model": {"existingClaim": "weights", "file": "digits/new.pt"},
            "settings": settings,
            "training": {"enabled": True, **training},
        }
        job = helm.find(helm.render(values), "Job")["spec"]
        return job["template"]["spec"]["containers"][0]["command"]

    assert "--min-accuracy=0.995" in command({"modelMinAccuracy": 0.995})
    assert "--min-accuracy=0.98" in command({"modelMinAccuracy": 0.5})
    assert "--min-accuracy=0.999" in command({"modelMinAccuracy": 0.5}, minAccuracy=0.999, maxDrop=0)
    assert "--max-drop=0" in command({}, minAccuracy=0, maxDrop=0)
    assert "--min-accuracy=0" in command({}, minAccuracy=0)
    assert "--publish=/models/digits/new.pt" in command({})


def test_weights_that_were_refused_are_not_trained_again():
    job = helm.find(helm.render(helm.read_values(helm.CHART / "ci" / "training-values.yaml")), "Job")["spec"]

    fail, ignore = job["podFailurePolicy"]["rules"]
    assert fail["onExitCodes"]["values"] == [PublishRefused.status]
    assert (fail["action"], ignore["action"]) == ("FailJob", "Ignore")
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # or the API server refuses the policy


def test_the_job_takes_what_the_service_leaves():
    """The kernel shares CPUs in the ratio of the requests where they are short."""
    objects = helm.render({"model": {"existingClaim": "weights"}, "training": {"enabled": True}})
    [training] = helm.find(objects, "Job")["spec"]["template"]["spec"]["containers"]
    [service] = helm.find(objects, "Deployment")["spec"]["template"]["spec"]["containers"]

    assert training["resources"]["requests"]["cpu"] == "10m"
    assert service["resources"]["requests"]["cpu"] == "100m"
    assert training["resources"]["limits"]["cpu"] == "1"
    [limit] = [each for each in training["env"] if each["name"] == "CPU_LIMIT"]
    assert limit["valueFrom"]["resourceFieldRef"]["resource"] == "limits.cpu"


def test_without_a_cpu_limit_the_job_counts_the_cores_itself():
    resources = {"limits": {"cpu": None}}
    values = {"model": {"existingClaim": "w"}, "training": {"enabled": True, "resources": resources}}
    [training] = helm.find(helm.render(values), "Job")["spec"]["template"]["spec"]["containers"]

    assert [each["name"] for each in training["env"]] == ["HOME", "MPLCONFIGDIR"]
    assert not [each for each in training["command"] if each.startswith("--threads")]


def test_different_training_arguments_give_the_job_a_different_name():
    def name(epochs):
        values = {
            "model": {"existingClaim": "w"},
            "training": {"enabled": True, "args": ["--epochs", epochs]},
        }
        return helm.find(helm.render(values), "Job")["metadata"]["name"]

    assert name("1") == name("1")
    assert name("1") != name("2")


def test_whatever_changes_the_job_changes_its_name():
    """Kubernetes refuses to change a Job that is there."""

    def name(**values):
        values = {"model": {"existingClaim": "w"}, "settings": {}, **values}
        objects = helm.render({**values, "training": {"enabled": True}})
        return helm.find(objects, "Job")["metadata"]["name"]

    names = [
        name(),
        name(model={"existingClaim": "v"}),
        name(model={"existingClaim": "w", "file": "new.pt"}),
        name(settings={"modelMinAccuracy": 0.99}),
        name(image={"repository": "other"}),
    ]

    assert len(set(names)) == len(names)
    assert name(settings={"modelMinAccuracy": 0.5}) == name(settings={"logLevel": "debug"}) == names[0]


def test_training_understands_the_command_of_the_job():
    objects = helm.render(helm.read_values(helm.CHART / "ci" / "training-values.yaml"))
    [container] = helm.find(objects, "Job")["spec"]["template"]["spec"]["containers"]
    arguments = [*container["command"][3:], *container["args"]]

    options = parse([each.replace("$(CPU_LIMIT)", "1") for each in arguments])

    assert options.publish == Path("/models/mnist_cnn.pt")
    assert (options.min_accuracy, options.max_drop, options.threads) == (0.98, 0.002, 1)
    assert (options.resume, options.force, options.epochs) == (True, False, 1)
