"""What a submitted job tells the process that it starts."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOLD = "import sys; from pathlib import Path; from cluster.job import *; "
TOLD += "print(address_of(None), address_of('h:1'), is_job(), unpacked(Path(sys.argv[1])))"


def told(path, **environment) -> str:
    command = [sys.executable, "-c", TOLD, str(path)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_run_outside_of_a_job_has_a_ray_of_its_own_unless_it_names_one():
    assert told("runs") == "None h:1 False False"


def test_a_job_works_on_its_cluster_and_knows_what_lies_in_its_unpacked_folder(tmp_path):
    job = json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}, "metadata": {}})
    assert told("runs", RAY_JOB_CONFIG_JSON_ENV_VAR=job) == "auto h:1 True True"
    assert told(tmp_path, RAY_JOB_CONFIG_JSON_ENV_VAR=job) == "auto h:1 True False"
    assert told("runs", RAY_JOB_CONFIG_JSON_ENV_VAR='{"runtime_env": null}') == "auto h:1 True False"
