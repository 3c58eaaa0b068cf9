"""Every file that users hand to Ray, Kubernetes or Prometheus is one that these take."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.runtime_env import RuntimeEnv

from pipelines.settings import Settings, load, parse

CONFIGS = Path(__file__).parents[2] / "ray_configs"
RAY = "2.60.0"

OPTIONAL = {  # the fields that KubeRay's CRDs (ray.io/v1, KubeRay 1.6) have, of what these files may use
    "RayCluster": {
        "rayVersion": str,
        "authOptions": "AuthOptions",
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": "AutoscalerOptions",
        "gcsFaultToleranceOptions": "GcsFaultTolerance",
        "headGroupSpec": "HeadGroup",
        "workerGroupSpecs": ["WorkerGroup"],
    },
    "RayJob": {
        "entrypoint": str,
        "submissionMode": str,
        "backoffLimit": int,
        "activeDeadlineSeconds": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "runtimeEnvYAML": str,
        "rayClusterSpec": "RayCluster",
    },
    "AuthOptions": {"mode": str, "secretName": str},
    "AutoscalerOptions": {"version": str, "idleTimeoutSeconds": int, "upscalingMode": str, "resources": "Resources"},
    "GcsFaultTolerance": {"redisAddress": str, "redisPassword": dict, "externalStorageNamespace": str},
    "HeadGroup": {"rayStartParams": dict, "template": "PodTemplate", "serviceType": str},
    "WorkerGroup": {
        "groupName": str,
        "replicas": int,
        "minReplicas": int,
        "maxReplicas": int,
        "idleTimeoutSeconds": int,
        "rayStartParams": dict,
        "template": "PodTemplate",
    },
    "Deployment": {"replicas": int, "selector": dict, "template": "PodTemplate"},
    "PodMonitor": {"selector": dict, "podMetricsEndpoints": ["MetricsEndpoint"]},
    "MetricsEndpoint": {"port": str, "path": str, "interval": str, "relabelings": list},
    "Service": {"selector": dict, "ports": list},
    "PersistentVolumeClaim": {"accessModes": list, "resources": "Resources"},
    "PodTemplate": {"metadata": dict, "spec": "Pod"},
    "Pod": {"containers": ["Container"], "volumes": ["Volume"], "terminationGracePeriodSeconds": int},
    "Container": {
        "name": str,
        "image": str,
        "args": list,
        "resources": "Resources",
        "env": ["Variable"],
        "ports": list,
        "readinessProbe": dict,
        "volumeMounts": ["Mount"],
    },
    "Resources": {"requests": dict, "limits": dict},
    "Variable": {"name": str, "value": str, "valueFrom": dict},
    "Volume": {"name": str, "persistentVolumeClaim": dict, "configMap": dict, "emptyDir": dict},
    "Mount": {"name": str, "mountPath": str},
}
REQUIRED = {
    "RayCluster": {"headGroupSpec"},
    "RayJob": {"entrypoint"},
    "HeadGroup": {"rayStartParams", "template"},
    "WorkerGroup": {"groupName", "maxReplicas", "minReplicas", "rayStartParams", "template"},
    "Container": {"name", "image", "resources"},
}


def text(name: str) -> str:
    return (CONFIGS / name).read_text(encoding="utf-8")


def content(name: str) -> Any:
    return yaml.safe_load(text(name))


def faults(value: Any, kind: Any, at: str) -> Iterator[str]:
    """What is no field of the kind, lacks, or has another type."""
    if isinstance(kind, list):
        for number, one in enumerate(value):
            yield from faults(one, kind[0], f"{at}[{number}]")
    elif isinstance(kind, type):
        if not isinstance(value, kind):
            yield f"{at}: {value!r} is no {kind.__name__}"
    else:
        for lacking in REQUIRED.get(kind, set()) - value.keys():
            yield f"{at} lacks {lacking}"
        for name, inner in value.items():
            if name in OPTIONAL[kind]:
                yield from faults(inner, OPTIONAL[kind][name], f"{at}.{name}")
            else:
                yield f"{at}.{name} is no field of {kind}"


def objects() -> list[tuple[str, dict[str, Any]]]:
    paths = sorted(CONFIGS.glob("kuberay-*.yaml"))
    return [(path.name, one) for path in paths for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


VERSIONS = {"RayCluster": "ray.io/v1", "RayJob": "ray.io/v1", "Deployment": "apps/v1"}
VERSIONS["PodMonitor"] = "monitoring.coreos.com/v1"


@pytest.mark.parametrize(("name", "one"), objects(), ids=lambda value: value if isinstance(value, str) else "")
def test_what_goes_to_kubernetes_has_fields_that_there_are(name, one):
    kind = one["kind"]
    assert one["apiVersion"] == VERSIONS.get(kind, "v1") and one["metadata"]["name"]
    if kind != "ConfigMap":
        assert list(faults(one["spec"], kind, kind)) == []


def test_a_field_that_there_is_not_would_be_found():
    assert list(faults({"headGroupSpec": {"rayStartParam": {}}}, "RayCluster", "it")) != []
    assert list(faults({"requests": 4}, "Resources", "it")) == ["it.requests: 4 is no dict"]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in objects():
        cluster = one["spec"].get("rayClusterSpec", one["spec"]) if "spec" in one else {}
        for group in [*filter(None, [cluster.get("headGroupSpec")]), *cluster.get("workerGroupSpecs", [])]:
            yield name, group


def test_all_pods_of_a_cluster_mount_the_shared_folder_and_what_they_mount_is_there():
    found = list(pods())
    assert len(found) >= 5
    for _, group in found:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts["shared"] == "/shared" and mounts.keys() <= volumes


def test_keys_come_from_secrets_and_to_heads_alone():
    for _, group in pods():
        for container in group["template"]["spec"]["containers"]:
            variables = container.get("env", [])
            assert not variables or "groupName" not in group
            assert all("secretKeyRef" in one["valueFrom"] for one in variables)


def test_resources_of_workers_are_the_ones_that_runs_ask_for():
    groups = {group["groupName"]: group for _, group in pods() if "groupName" in group}
    told = groups["callers"]["rayStartParams"]["resources"]  # KubeRay hands it to a shell as it is
    assert json.loads(shlex.split(told)[0]) == {"egress": 4}
    assert load(CONFIGS / "run-cluster.yaml").cluster.placement.callers.resources == {"egress": 1}


def test_the_run_of_the_job_names_settings_that_there_are():
    [run] = [one["data"]["run.yaml"] for _, one in objects() if one["kind"] == "ConfigMap"]
    settings = parse(yaml.safe_load(run))
    assert isinstance(settings, Settings) and settings.run_dir.startswith("/shared/")
    [job] = [one["spec"] for _, one in objects() if one["kind"] == "RayJob"]
    assert set(RuntimeEnv(**yaml.safe_load(job["runtimeEnvYAML"]))) == {"env_vars"}
    assert job["entrypoint"] == "python -m pipelines run /etc/populace/run.yaml"


def test_the_launcher_takes_the_cluster():
    found = content("cluster-aws.yaml")
    validate_config(prepare_config(found))
    types = found["available_node_types"]
    for name in ("callers", "embedders"):
        assert types[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert types[name]["min_workers"] == 0 < types[name]["max_workers"]
    for commands in (found["head_start_ray_commands"], found["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in commands[-1]


def test_a_cluster_that_the_launcher_would_not_take_is_refused():
    with pytest.raises(Exception, match="upscaling_sped"):
        validate_config(prepare_config(content("cluster-aws.yaml") | {"upscaling_sped": 1}))


def test_serve_takes_the_application_and_its_scaling():
    schema = pytest.importorskip("ray.serve.schema", reason="pip install 'ray[serve]'")
    config = pytest.importorskip("ray.serve.config")
    found = schema.ServeDeploySchema.model_validate(content("serve-llm.yaml"))
    [application] = found.applications
    assert application.import_path == "ray.serve.llm:build_openai_app"
    [llm] = application.args["llm_configs"]
    assert llm.keys() <= {"model_loading_config", "accelerator_type", "engine_kwargs", "deployment_config"}
    deployment = llm["deployment_config"]
    config.AutoscalingConfig(**deployment["autoscaling_config"])
    schema.DeploymentSchema(name="llm", **deployment)
    from ray.util import accelerators

    assert llm["accelerator_type"] in vars(accelerators).values()


def test_the_runtime_environment_is_one_and_holds_no_key():
    found = RuntimeEnv(**content("runtime_env.yaml"))
    assert set(found) == {"env_vars", "config"}
    assert not any("KEY" in name or "TOKEN" in name.removeprefix("TOKENIZERS") for name in found["env_vars"])


def test_versions_are_those_that_this_was_tested_with():
    import ray

    assert ray.__version__ == RAY and f"FROM rayproject/ray:{RAY}-py311" in text("Dockerfile")
    clusters = [
        one["spec"].get("rayClusterSpec", one["spec"]) for _, one in objects() if one["apiVersion"] == "ray.io/v1"
    ]
    assert {one["rayVersion"] for one in clusters} == {RAY}


def test_prometheus_takes_its_config():
    found = content("prometheus.yaml")
    assert {one["job_name"] for one in found["scrape_configs"]} == {"ray"}
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("promtool comes with Debian's prometheus")
    checked = subprocess.run([tool, "check", "config", CONFIGS / "prometheus.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
