"""What the files of clusters say: to Ray's schema, to KubeRay's fields, and to each other."""

from __future__ import annotations

import copy
import json
import os
import pprint
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from machines import ROOT
from notices import metadata_server, path_with, script
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.job_submission import JobDetails, JobStatus, JobType

LAUNCHED = ("cluster.yaml", "deploy/on-prem.yaml")
RAYJOB = "deploy/kuberay-rayjob.yaml"


def read(name: str) -> dict[str, Any]:
    """A YAML file of the checkout."""
    values = yaml.safe_load((ROOT / name).read_text())
    assert isinstance(values, dict)
    return values


def launched(name: str) -> dict[str, Any]:
    """What Ray's launcher makes of a file."""
    prepared = prepare_config(read(name))
    validate_config(prepared)
    assert isinstance(prepared, dict)
    return prepared


@pytest.fixture(autouse=True)
def folder_for_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray notes what it knows of machines of one's own."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_takes_the_file(name: str) -> None:
    launched(name)


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_would_refuse_a_misspelt_key(name: str) -> None:
    values = read(name)
    values["idle_timeout"] = 5
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        validate_config(prepare_config(values))


@pytest.mark.parametrize("name", LAUNCHED)
def test_every_node_has_the_token_and_the_package(name: str) -> None:
    config = launched(name)
    mounts = config["file_mounts"]
    assert mounts["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
    own = {there: here for there, here in mounts.items() if there != "~/.ray/auth_token"}
    for there, here in own.items():
        assert (ROOT / here).exists()
        assert there == f"~/mcrelu/{here}"
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert {project["readme"], *project["license-files"]} <= set(own.values())
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("ray start" in command for command in config[commands])
    version = read(RAYJOB)["spec"]["rayClusterSpec"]["rayVersion"]  # the same on all nodes
    assert any(f"'ray[default]=={version}'" in command for command in config["setup_commands"])
    kinds = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    for command in (command for kind in kinds for command in config[kind]):
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_all_nodes_have_the_same_environment() -> None:
    """Keepalive on all nodes or on none, and a token on all: one file, read by every login."""
    from mcrelu.runtime.parcel import STOP_SECONDS
    from mcrelu.runtime.ray_cluster import AUTH_MODE, KEEPALIVE

    script = f". {ROOT}/deploy/environment.sh; env"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    found = dict(line.partition("=")[::2] for line in said.stdout.splitlines())
    wanted = {**KEEPALIVE, AUTH_MODE: "token", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
    assert wanted.items() <= found.items()
    for name in LAUNCHED:
        assert any("environment.sh" in command for command in read(name)["setup_commands"])


def test_the_head_says_how_many_gpus_may_come() -> None:
    from mcrelu.runtime.ray_actors import GPUS_ON_DEMAND

    types = launched("cluster.yaml")["available_node_types"]
    assert types["gpu"]["node_config"]["InstanceType"] == "g6.xlarge"  # which has one
    assert types["head"]["resources"] == {"CPU": 0, GPUS_ON_DEMAND: types["gpu"]["max_workers"]}


def test_nobody_pays_for_a_forgotten_cluster() -> None:
    config = launched("cluster.yaml")
    types = config["available_node_types"]
    assert config["idle_timeout_minutes"] == 5
    assert not config["provider"]["cache_stopped_nodes"]
    for name, kind in types.items():
        assert kind["node_config"]["InstanceInitiatedShutdownBehavior"] == "terminate"
        if name != config["head_node_type"]:
            assert kind["min_workers"] == 0
            assert kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("stop-when-idle.sh" in command for command in config[commands])


def test_spot_machines_pass_on_their_notices() -> None:
    commands = launched("cluster.yaml")["worker_start_ray_commands"]
    assert any("drain-on-notice.sh $RAY_HEAD_IP:6379" in command for command in commands)


@pytest.mark.parametrize(("uses", "minutes"), [("01", 3), ("1", 2)])
def test_a_machine_stops_when_it_is_idle(uses: str, minutes: int, tmp_path: Path) -> None:
    """0 in ``uses``: in use at the first look and so on; then idle for two looks in a row."""
    (tmp_path / "uses").write_text(uses + "1" * 9)
    scripts = {
        "sleep": "echo slept $1",
        "sudo": "echo $@",
        "in-use": f"cd {tmp_path}; read all < uses; echo ${{all:1}} > uses; exit ${{all:0:1}}",
    }
    for name, text in scripts.items():
        script(tmp_path, name, text)
    said = subprocess.run(
        ["sh", ROOT / "deploy" / "stop-when-idle.sh", "2", "in-use"],
        env={"PATH": path_with(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines() == ["slept 60"] * minutes + ["shutdown -h now"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, as the script does")
def test_a_notice_is_passed_on(tmp_path: Path) -> None:
    """Only once it is given, and of the node that the machine has."""
    with metadata_server() as metadata:
        # Two looks without a notice, then one with it.
        count = f'echo >> {tmp_path}/looks; [ "$(wc -l < {tmp_path}/looks)" -lt 3 ] || '
        script(tmp_path, "sleep", f"{count}touch {tmp_path}/notice")
        script(tmp_path, "pgrep", "echo 7 /there/raylet --node_ip_address=1 --node_id=abc --x=2")
        script(tmp_path, "ray", 'echo "$@"')
        command = ["sh", str(ROOT / "deploy" / "drain-on-notice.sh"), "head:6379", metadata.url]
        path = {"PATH": path_with(tmp_path)}
        with subprocess.Popen(command, env=path, stdout=subprocess.PIPE, text=True) as process:
            while not (tmp_path / "notice").exists():
                assert process.poll() is None
            metadata.notice = True
            said, _ = process.communicate(timeout=60)
    assert said.split()[:5] == ["drain-node", "--address", "head:6379", "--node-id", "abc"]
    assert "DRAIN_NODE_REASON_PREEMPTION" in said
    action = "/meta-data/spot/instance-action"
    answers = [status for path, status in metadata.asked if path == action]
    assert answers[:2] == [404, 404]
    assert answers[-1] == 200


@pytest.mark.parametrize(
    ("statuses", "in_use"),
    [(["SUCCEEDED", "RUNNING"], True), (["PENDING"], True), (["STOPPED", "FAILED"], False)],
)
def test_a_head_is_in_use_while_a_job_runs(
    statuses: list[str], in_use: bool, tmp_path: Path
) -> None:
    """By what `ray job list` prints."""
    message = "RUNNING was not for long"
    jobs = [
        JobDetails(type=JobType.DRIVER, entrypoint="", status=JobStatus(one), message=message)
        for one in statuses
    ]
    (tmp_path / "list").write_text(pprint.pformat(jobs))
    (tmp_path / "ray").write_text(f"#!/bin/sh\ncat {tmp_path}/list\n")
    (tmp_path / "ray").chmod(0o755)
    (watch,) = [one for one in read("cluster.yaml")["head_start_ray_commands"] if "idle" in one]
    words = shlex.split(watch)
    command = ["sh", "-c", words[words.index("-c") + 1]]
    path = f"{tmp_path}:{os.environ['PATH']}"
    found = subprocess.run(command, env={"PATH": path}, check=False)
    assert (found.returncode == 0) is in_use


# ------------------------------------------------------------------------------ Kubernetes


def exactly(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with these keys and no others."""
    properties = {**required, **optional}
    closed = {"additionalProperties": False, "required": list(required)}
    return {"type": "object", "properties": properties, **closed}


TEXT, COUNT, YES = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
LIST = {"type": "array", "minItems": 1}
QUANTITIES = exactly({"cpu": TEXT, "memory": TEXT}, **{"nvidia.com/gpu": TEXT})
CONTAINER = exactly(
    {
        "name": TEXT,
        "image": TEXT,
        "resources": exactly({"limits": QUANTITIES, "requests": QUANTITIES}),
    },
    env={**LIST, "items": exactly({"name": TEXT, "value": TEXT})},
)
POD = exactly({"containers": {**LIST, "items": CONTAINER}}, serviceAccountName=TEXT)
TEMPLATE = exactly({"spec": POD})
HEAD = exactly({"rayStartParams": TEXTS, "template": TEMPLATE})
WORKERS = exactly(
    {
        "groupName": TEXT,
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "rayStartParams": TEXTS,
        "template": TEMPLATE,
    }
)
# Written from KubeRay's reference of its API (v1.6.2), with those fields only that we use.
RAYJOB_SCHEMA = exactly(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object"},
        "spec": exactly(
            {
                "entrypoint": TEXT,
                "shutdownAfterJobFinishes": {"const": True},
                "ttlSecondsAfterFinished": COUNT,
                "rayClusterSpec": exactly(
                    {
                        "rayVersion": TEXT,
                        "authOptions": exactly({"mode": {"const": "token"}}),
                        "headGroupSpec": HEAD,
                        "workerGroupSpecs": {**LIST, "items": WORKERS},
                    },
                    enableInTreeAutoscaling=YES,
                    autoscalerOptions=exactly(
                        {"idleTimeoutSeconds": COUNT, "version": {"enum": ["v1", "v2"]}}
                    ),
                ),
            },
            runtimeEnvYAML=TEXT,
        ),
    }
)


def test_kuberay_knows_the_fields() -> None:
    jsonschema.validate(read(RAYJOB), RAYJOB_SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "shutdownAfterJobFinish"], True),
        (["spec", "rayClusterSpec", "authOptions", "mode"], "tokens"),
        (["spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas"], "32"),
    ],
)
def test_what_kuberay_would_refuse(path: list[Any], value: Any) -> None:
    values = copy.deepcopy(read(RAYJOB))
    *parents, last = path
    inner: Any = values
    for key in parents:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, RAYJOB_SCHEMA)


def test_the_image_has_what_the_job_asks_for() -> None:
    job = read(RAYJOB)["spec"]
    version = job["rayClusterSpec"]["rayVersion"]
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert f"FROM rayproject/ray:{version}-py312\n" in image
    lines = re.findall(r"^COPY .*", image, re.MULTILINE)
    copied = [name for line in lines for name in line.split()[2:-1]]
    assert all((ROOT / name).exists() for name in copied)
    for name in re.findall(r"jobs/\S+", job["entrypoint"]):
        assert (ROOT / name).exists()
        assert "jobs" in copied
    assert yaml.safe_load(job["runtimeEnvYAML"])["env_vars"]
    json.dumps(job)  # nothing that Kubernetes' JSON has not
