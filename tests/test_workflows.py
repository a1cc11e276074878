"""The workflows: sound by two linters, what matters in them true, and their shell really run against a repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def tool(name):
    """A linter beside the running Python, or on the path; the test is skipped where there is none."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed (requirements-dev.txt)")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def read(name):
    return YAML(typ="safe").load((FOLDER / name).read_text())


@pytest.fixture(scope="module")
def retrain():
    return read("retrain.yml")


def step(job, name):
    return next(each for each in job["steps"] if each.get("name") == name or name in each.get("uses", ""))


# Linters


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_fits_githubs_schema(path):
    ran = run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(path))
    assert ran.returncode == 0, ran.stdout


def test_the_schema_check_would_find_a_misspelt_key(tmp_path):
    (tmp_path / "bad.yml").write_text((FOLDER / "ci.yml").read_text().replace("runs-on", "run-on"))
    ran = run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(tmp_path / "bad.yml"))
    assert ran.returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_security_findings(path):
    ran = run(tool("zizmor"), "--offline", "--persona=pedantic", str(path))
    assert ran.returncode == 0, ran.stdout


def test_the_security_check_would_find_an_injection_and_a_movable_action(tmp_path):
    text = (FOLDER / "ci.yml").read_text()
    text = text.replace("make test", "echo ${{ github.event.pull_request.title }}").replace(
        "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5"
    )
    (tmp_path / "bad.yml").write_text(text)
    ran = run(tool("zizmor"), "--offline", str(tmp_path / "bad.yml"))
    assert "template-injection" in ran.stdout
    assert "unpinned-uses" in ran.stdout


# What matters


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(path):
    uses = re.findall(r"uses: (.*)", path.read_text())
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_ci_runs_the_readmes_command_on_the_oldest_and_a_new_python():
    job = read("ci.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert job["steps"][-1]["run"] == "make test PYTHON=python"
    assert read("ci.yml")["permissions"] == {"contents": "read"}


def test_retraining_runs_nightly_and_by_hand_one_at_a_time(retrain):
    assert len(retrain["on"]["schedule"]) == 1
    assert re.fullmatch(r"\d+ \d+ \* \* \*", retrain["on"]["schedule"][0]["cron"])
    assert list(retrain["on"]["workflow_dispatch"]["inputs"]) == ["force_reason"]
    assert retrain["concurrency"] == {"group": "retrain", "cancel-in-progress": False}


def test_every_job_may_do_only_what_it_needs(retrain):
    assert retrain["permissions"] == {}
    assert retrain["jobs"]["retrain"]["permissions"] == {"contents": "write"}
    assert retrain["jobs"]["image"]["permissions"] == {"contents": "read", "packages": "write"}
    assert all(job["timeout-minutes"] <= 120 for job in retrain["jobs"].values())


def test_an_image_is_pushed_only_when_a_model_was_deployed(retrain):
    image = retrain["jobs"]["image"]
    assert image["needs"] == "retrain"
    assert image["if"] == "needs.retrain.outputs.deployed == 'true'"
    push = step(image, "docker/build-push-action")["with"]
    assert push["push"] is True
    assert not [each for each in retrain["jobs"]["retrain"]["steps"] if "docker" in each.get("uses", "")]


def test_the_outputs_are_the_ones_that_a_run_writes(retrain):
    from evergreen.reporting.markdown import github_outputs

    outputs = retrain["jobs"]["retrain"]["outputs"]
    written = github_outputs({})
    assert outputs == {
        **{name: f"${{{{ steps.loop.outputs.{name} }}}}" for name in written},
        "state": "${{ steps.keep.outputs.state }}",
    }


def test_the_state_is_kept_after_a_failed_run_too(retrain):
    assert step(retrain["jobs"]["retrain"], "Keep the state")["if"] == "${{ !cancelled() }}"


def test_image_and_training_have_the_same_python(retrain):
    version = step(retrain["jobs"]["retrain"], "actions/setup-python")["with"]["python-version"]
    assert set(re.findall(r"FROM python:([\d.]+)-slim", (ROOT / "Dockerfile").read_text())) == {version}


# The shell of the nightly job, against a real repository with a stub for the loop


@pytest.fixture
def night(tmp_path, retrain):
    """Runs the job's own shell for one night in a fresh clone; gives the finished process of the last step."""
    origin = tmp_path / "origin.git"
    run("git", "init", "--bare", "--initial-branch=main", str(origin))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "gh").chmod(0o755)
    job = retrain["jobs"]["retrain"]

    def clone(name):
        folder = tmp_path / name
        run("git", "clone", "--quiet", str(origin), str(folder))
        return folder

    def shell(title, folder, **environment):
        command = step(job, title)
        outputs = folder.parent / f"{folder.name}.outputs"
        variables = {
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_RUN_ID": "1",
            "GITHUB_SHA": "abc",
            **environment,
        }
        place = folder / command.get("working-directory", ".")
        ran = run("bash", "-e", "-c", command["run"], cwd=place, env=variables)
        return ran, outputs.read_text() if outputs.exists() else ""

    return clone, shell


def live_through(night, name, model):
    clone, shell = night
    folder = clone(name)
    ran, _ = shell("Bring back the state", folder)
    assert ran.returncode == 0, ran.stderr
    (folder / "state" / "model").mkdir(exist_ok=True)
    before = sorted(path.name for path in (folder / "state" / "model").iterdir())
    (folder / "state" / "model" / model).write_text(model)
    return folder, before


def test_each_night_finds_what_the_night_before_left(night):
    _, shell = night
    for number, expected in enumerate([[], ["model_0"], ["model_0", "model_1"]]):
        folder, before = live_through(night, f"night_{number}", f"model_{number}")
        assert before == expected
        ran, outputs = shell("Keep the state", folder)
        assert ran.returncode == 0, ran.stderr
        assert re.fullmatch(r"state=[0-9a-f]{40}\n", outputs)


def test_a_night_without_news_pushes_nothing(night):
    clone, shell = night
    folder, _ = live_through(night, "first", "model")
    shell("Keep the state", folder)
    quiet = clone("quiet")
    shell("Bring back the state", quiet)
    ran, outputs = shell("Keep the state", quiet)
    assert ran.returncode == 0, ran.stderr
    assert outputs == ""


def test_a_state_that_was_overtaken_is_refused_not_overwritten(night):
    _, shell = night
    slow, _ = live_through(night, "slow", "model_slow")
    quick, _ = live_through(night, "quick", "model_quick")
    assert shell("Keep the state", quick)[0].returncode == 0
    ran, outputs = shell("Keep the state", slow)
    assert ran.returncode != 0
    assert outputs == ""


def test_a_repository_out_of_reach_ends_the_job_instead_of_starting_from_nothing(night, tmp_path):
    clone, shell = night
    folder = clone("lonely")
    (tmp_path / "origin.git").rename(tmp_path / "gone.git")
    assert shell("Bring back the state", folder)[0].returncode != 0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("", "src/monitor.py"),
        (
            'new "tariff"; rm -rf $HOME `id`',
            'src/continuous_training.py --force --reason new "tariff"; rm -rf $HOME `id` --by ada',
        ),
    ],
)
def test_a_reason_given_by_hand_forces_a_training_and_is_never_run_as_code(night, tmp_path, reason, expected):
    clone, shell = night
    (tmp_path / "bin" / "python").write_text('#!/bin/sh\necho "$*"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    ran, _ = shell("Run the loop", clone("forced"), FORCE_REASON=reason, GITHUB_ACTOR="ada")
    assert ran.stdout.strip() == expected


def test_the_model_in_the_image_is_the_one_that_was_deployed(tmp_path, retrain):
    import hashlib

    (tmp_path / "state" / "model").mkdir(parents=True)
    (tmp_path / "state" / "model" / "model.pkl").write_bytes(b"model")
    script = step(retrain["jobs"]["image"], "Put the model into the image")["run"]
    digest = hashlib.sha256(b"model").hexdigest()
    for given, code in [(digest, 0), ("0" * 64, 1)]:
        variables = {
            "PATH": os.environ["PATH"],
            "DIGEST": given,
            "GITHUB_REPOSITORY": "Acme/Churn",
            "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        }
        ran = run("bash", "-e", "-c", script, cwd=tmp_path, env=variables)
        assert ran.returncode == code, ran.stderr
    assert (tmp_path / "model" / "model.pkl").read_bytes() == b"model"
    assert (tmp_path / "outputs").read_text() == f"image=ghcr.io/acme/churn\ntag=model-{digest[:12]}\n"
