"""The set-up of .venv: what it refuses, when it works, and that nothing half-built is taken for whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import bootstrap
    import environment
    import preflight
    import progress
    import stamp

    class Tools:
        pass

    for module in (bootstrap, environment, preflight, progress, stamp):
        setattr(Tools, module.__name__, module)
    return Tools


@pytest.fixture
def checkout(tools, tmp_path, monkeypatch):
    """A checkout with the sources that the stamp looks at, and commands that are recorded instead of run."""
    (tmp_path / "interfaces" / "rosidl_wheel").mkdir(parents=True)
    (tmp_path / "interfaces" / "rosidl_wheel" / "pins.py").write_text("", encoding="utf-8")
    (tmp_path / "interfaces" / "a_msgs" / "msg").mkdir(parents=True)
    (tmp_path / "interfaces" / "a_msgs" / "package.xml").write_text("<package/>", encoding="utf-8")
    (tmp_path / "interfaces" / "a_msgs" / "msg" / "A.msg").write_text("int8 a\n", encoding="utf-8")
    (tmp_path / "setup.py").write_text("one", encoding="utf-8")
    monkeypatch.setattr(tools.bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(tools.bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(tools.bootstrap, "LOG", tmp_path / "out" / "setup.log")
    monkeypatch.setattr(tools.bootstrap, "_check", lambda plan: None)
    monkeypatch.setattr(tools.preflight, "torch_index", list)
    monkeypatch.setattr(tools.preflight, "has_old_pip", lambda: False)
    steps = []

    def step(self, what, command, environ):
        steps.append(what)
        if what == "Creating .venv":
            (tmp_path / ".venv" / "bin").mkdir(parents=True)
            (tmp_path / ".venv" / "bin" / "python").touch()

    monkeypatch.setattr(tools.progress.Progress, "step", step)
    return tmp_path, steps


def ensured(tools, steps, *extras, python=None):
    """Ensures the extras and returns the steps that took."""
    steps.clear()
    tools.bootstrap.ensure(list(extras), python)
    return list(steps)


@pytest.mark.parametrize("version", [(3, 9), (3, 14), (2, 7)])
def test_other_pythons_are_refused_with_a_remedy(tools, version):
    with pytest.raises(tools.preflight.UnsupportedPythonError, match=r"expected 3\.10 to 3\.13; .*PYTHON=python3\.1"):
        tools.preflight.check_python(version)


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_supported_pythons_pass(tools, version):
    tools.preflight.check_python(version)


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [
        ("linux", "aarch64", ("glibc", "2.39")),
        ("darwin", "x86_64", ("", "")),
        ("linux", "x86_64", ("", "")),
        ("linux", "x86_64", ("glibc", "2.27")),
    ],
)
def test_other_machines_are_sent_to_a_distribution(tools, system, machine, libc):
    with pytest.raises(tools.preflight.UnsupportedMachineError, match="ROS 2 Jazzy's distribution"):
        tools.preflight.check_machine(system, machine, libc)


def test_python_without_venv_names_the_debian_package(tools, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(tools.preflight.MissingVenvModuleError, match="apt install python3-venv"):
        tools.preflight.check_venv_module()


def test_missing_compiler_names_the_debian_package(tools, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(tools.preflight.MissingBuildToolError, match="apt install build-essential"):
        tools.preflight.check_build_tools(ROOT / "interfaces")


def test_full_disk_is_refused(tools, tmp_path):
    with pytest.raises(tools.preflight.DiskSpaceError, match=r"0\.9 GB of free space: expected about"):
        tools.preflight.check_disk(tmp_path, ["ros", "pytorch"], free=900_000_000)
    tools.preflight.check_disk(tmp_path, ["ros", "pytorch"], free=4_000_000_000, gpu=False)
    with pytest.raises(tools.preflight.DiskSpaceError):
        tools.preflight.check_disk(tmp_path, ["ros", "pytorch"], free=4_000_000_000, gpu=True)
    tools.preflight.check_disk(tmp_path, ["ros", "tensorflow"], free=4_000_000_000, gpu=True)


def test_unreachable_torch_index_leaves_pip_alone(tools, monkeypatch):
    # A port that nothing listens on.
    monkeypatch.setenv("TORCH_INDEX", "http://127.0.0.1:9")
    assert tools.preflight.torch_index() == []
    monkeypatch.setenv("TORCH_INDEX", "")
    assert tools.preflight.torch_index() == []


@pytest.mark.parametrize(("version", "old"), [("22.0.2", True), ("23.0.1", True), ("23.1", False), ("26.1", False)])
def test_a_pip_that_resolves_slowly_is_known(tools, version, old):
    """Debian 12 and Ubuntu 22.04 have such ones."""
    assert tools.preflight.has_old_pip(version) is old


def test_an_old_pip_is_updated_before_it_resolves_anything(tools, checkout, monkeypatch):
    _, steps = checkout
    monkeypatch.setattr(tools.preflight, "has_old_pip", lambda: True)
    first = [
        "Creating .venv",
        "Updating pip",
        "Installing robot_ai[ros]",
        "Compiling a_msgs",
        "Checking that it imports",
    ]
    assert ensured(tools, steps, "ros") == first
    assert ensured(tools, steps, "ros") == []
    assert "Updating pip" not in ensured(tools, steps, "ros", "demo")


def test_set_up_happens_once(tools, checkout):
    _, steps = checkout
    first = ["Creating .venv", "Installing robot_ai[demo,ros]", "Compiling a_msgs", "Checking that it imports"]
    assert ensured(tools, steps, "ros", "demo") == first
    assert ensured(tools, steps, "ros", "demo") == []
    assert ensured(tools, steps, "ros") == []


def test_more_extras_are_added_to_those_installed(tools, checkout):
    _, steps = checkout
    ensured(tools, steps, "ros")
    assert ensured(tools, steps, "test") == [
        "Installing robot_ai[ros,test]",
        "Installing the model servers' messages",
        "Checking that it imports",
    ]
    assert ensured(tools, steps, "ros") == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("setup.py", "Installing robot_ai[ros]"),
        ("interfaces/a_msgs/msg/A.msg", "Compiling a_msgs"),
        ("interfaces/rosidl_wheel/pins.py", "Compiling a_msgs"),
    ],
)
def test_changed_sources_are_installed_again(tools, checkout, changed, expected):
    root, steps = checkout
    ensured(tools, steps, "ros")
    (root / changed).write_text("changed", encoding="utf-8")
    assert ensured(tools, steps, "ros") == [expected, "Checking that it imports"]
    assert ensured(tools, steps, "ros") == []


@pytest.mark.parametrize("interrupted", ["Creating .venv", "Installing robot_ai[ros]", "Compiling a_msgs"])
def test_interrupted_set_up_is_not_taken_for_whole(tools, checkout, monkeypatch, interrupted):
    _, steps = checkout
    working = tools.progress.Progress.step

    def step(self, what, command, environ):
        if what == interrupted:
            raise KeyboardInterrupt
        working(self, what, command, environ)

    monkeypatch.setattr(tools.progress.Progress, "step", step)
    with pytest.raises(KeyboardInterrupt):
        ensured(tools, steps, "ros")
    with pytest.raises(tools.bootstrap.NotBuiltError, match="not whole"):
        tools.bootstrap.run(["true"])
    monkeypatch.setattr(tools.progress.Progress, "step", working)
    assert ensured(tools, steps, "ros")[0] == "Creating .venv"


def test_interrupted_addition_is_not_taken_for_whole(tools, checkout, monkeypatch):
    root, steps = checkout
    ensured(tools, steps, "ros")

    def fail(self, what, command, environ):
        raise tools.progress.StepFailedError(what)

    monkeypatch.setattr(tools.progress.Progress, "step", fail)
    with pytest.raises(tools.progress.StepFailedError):
        ensured(tools, steps, "demo")
    assert tools.stamp.read(root / ".venv") is None


def test_moved_or_headless_environment_is_built_anew(tools, checkout):
    root, steps = checkout
    ensured(tools, steps, "ros")
    (root / ".venv" / "bin" / "python").unlink()
    assert ensured(tools, steps, "ros")[0] == "Creating .venv"
    file = root / ".venv" / "robot_ai.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "venv": "/elsewhere"}), encoding="utf-8")
    assert ensured(tools, steps, "ros")[0] == "Creating .venv"


def test_another_python_counts_only_when_asked_for(tools, checkout, monkeypatch):
    _, steps = checkout
    ensured(tools, steps, "ros", python="3.10")
    assert ensured(tools, steps, "ros") == []
    assert ensured(tools, steps, "ros", python="3.12")[0] == "Creating .venv"


def test_failed_step_shows_the_end_of_the_log(tools, tmp_path):
    progress = tools.progress.Progress(1, tmp_path / "setup.log")
    script = "print('the reason'); raise SystemExit(3)"
    with pytest.raises(tools.progress.StepFailedError, match=r"(?s)exit code 3.*the reason.*setup\.log"):
        progress.step("Failing", [sys.executable, "-c", script], os.environ)


def test_sourced_distribution_does_not_reach_the_environment(tools):
    sourced = {
        "ROS_DISTRO": "humble",
        "AMENT_PREFIX_PATH": "/opt/ros/humble",
        "PYTHONPATH": "/opt/ros/humble/lib/python3.10/site-packages",
        "LD_LIBRARY_PATH": "/opt/ros/humble/lib:/usr/local/cuda/lib64",
        "PATH": "/opt/ros/humble/bin:/usr/bin",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "ROS_DOMAIN_ID": "200",
        "ROS_DISCOVERY_SERVER": "10.0.0.1:11811",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }
    assert tools.environment.sourced_distribution(sourced) == "humble"
    result = tools.environment.run(Path("/x/.venv"), sourced)
    assert not {"PYTHONPATH", "ROS_DISCOVERY_SERVER", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"} & set(result)
    assert result["AMENT_PREFIX_PATH"] == "/x/.venv"
    assert result["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"
    assert result["PATH"] == "/x/.venv/bin:/usr/bin"
    assert result["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    assert result["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert 1 <= int(result["ROS_DOMAIN_ID"]) <= 101


def test_running_without_an_environment_says_what_to_do(tmp_path):
    for file in TOOLS.glob("*.py"):
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, str(tmp_path / "tools" / "bootstrap.py"), "run", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "make demo" in done.stderr
