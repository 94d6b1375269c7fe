"""The package as pip and colcon install it: its files, its metadata, and its manners without a framework or ROS."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import venv
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

import robot_ai

ROOT = Path(__file__).resolve().parents[1]
# What a build reads; the rest of a checkout, .venv above all, stays where it is.
SOURCES = ("robot_ai", "launch", "config", "models", "worlds", "resource")
FILES = ("setup.py", "setup.cfg", "pyproject.toml", "package.xml", "LICENSE")
# The rosdep key of each requirement in setup.py, checked for Ubuntu noble; None where rosdep offers nothing usable.
ROSDEP = {
    "numpy": "python3-numpy",
    "opencv-python-headless": "python3-opencv",
    "PyYAML": "python3-yaml",
    "defusedxml": "python3-defusedxml",
    "pyserial": "python3-serial",
    "safetensors": None,
    "scipy": "python3-scipy",
    "pypcd4": None,
    "torch": None,  # python3-torch is Ubuntu's, years older than what is tested
    "tensorflow-cpu": None,
    "ai-edge-litert": None,
    "onnxruntime": None,
    "openvino": None,
    "grpcio": "python3-grpcio",
    "protobuf": "python3-protobuf",
    "orjson": None,  # optional: Python's own module does it too, slowly
    "fastcrc": None,  # optional: the bridge computes the checksums of serial lines itself, slowly
    "python-rapidjson": None,  # of a test
    "onnxscript": None,
    "tf2onnx": None,
    "onnx2torch": None,
    "torchvision": None,
    "matplotlib": None,  # plots of a model's benchmark, which a robot does without
    "tensorboard": None,
    "ros-jazzy-rclpy": "rclpy",
    "ros-jazzy-rmw-fastrtps-cpp": None,  # a distribution chooses its middleware itself
    "ros-jazzy-common-interfaces": "sensor_msgs",
    "ros-lifecycle-msgs": "lifecycle_msgs",
    "ros-rosgraph-msgs": "rosgraph_msgs",
    "scikit-image": "python3-skimage",
    "scikit-learn": "python3-sklearn",
    "pytest": "python3-pytest",
    "pytest-timeout": "python3-pytest-timeout",
    "hypothesis": "python3-hypothesis",
    "psutil": "python3-psutil",
    "catkin-pkg": "python3-catkin-pkg-modules",
    # Only make uses these, not colcon: workers of the tests, linters, and what has no key that apt serves.
    "pytest-xdist": None,
    "onnx": None,
    "mypy": None,
    "ruff": None,
    "types-PyYAML": None,
    "types-defusedxml": None,
    "types-pyserial": None,
    "pycocotools": None,
    "rosbags": None,
    "mujoco": None,
    "trimesh": None,  # of the simulator, whose physics only pip brings
    "pillow": None,
    "tqdm": None,  # of `robot_ai train`, beside pip's PyTorch
    "rerun-sdk": None,  # of the viewer, which only pip brings
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel built from that alone: what the one lacks the other lacks."""
    pytest.importorskip("setuptools")
    work = tmp_path_factory.mktemp("build")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, work / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, work / file)
    run_backend(work, "build_sdist")
    (sdist,) = (work / "dist").glob("*.tar.gz")
    shutil.unpack_archive(sdist, work / "unpacked")
    (source,) = (work / "unpacked").iterdir()
    run_backend(source, "build_wheel")
    (wheel,) = (source / "dist").glob("*.whl")
    return sdist, wheel


def run_backend(folder, hook):
    """Runs a PEP 517 hook of setuptools with the interpreter at hand, which needs no network."""
    script = f"import setuptools.build_meta as backend; backend.{hook}('dist')"
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory):
    """A fresh environment with the wheel and the small libraries that it cannot do without."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    for arguments in (["--no-deps", str(built[1])], ["numpy", "PyYAML", "safetensors", "opencv-python-headless"]):
        done = subprocess.run([*pip, *arguments], env=environ, capture_output=True, text=True, timeout=170, check=False)
        if done.returncode and "No matching distribution" in done.stderr:
            pytest.skip("no package index is reachable")
        assert done.returncode == 0, done.stderr

    def run(script):
        # The folder has no robot_ai in it, so the installed one is imported.
        return subprocess.run(
            [str(python), "-c", script],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def package_xml():
    return ET.parse(ROOT / "package.xml").getroot()


def requirements():
    """Every requirement in setup.py, read from its text: importing it would run setup()."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))):
        strings = node.elts if isinstance(node, ast.List) else []
        for element in strings:
            text = element.value if isinstance(element, ast.Constant) else None
            if (
                isinstance(text, str)
                and not any(mark in text for mark in (" ", "/"))
                and not text.endswith((".typed", ".xml"))
            ):
                found.add(re.split(r"[=<>~!]", text)[0])
    return found


def extras():
    """The names of extras_require in setup.py, read from its text."""
    (call,) = (n for n in ast.walk(ast.parse((ROOT / "setup.py").read_text("utf-8"))) if is_call(n, "setup"))
    (table,) = (keyword.value for keyword in call.keywords if keyword.arg == "extras_require")
    return {key.value for key in table.keys}


def is_call(node, name):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def test_what_the_pages_and_messages_have_pip_install_are_our_extras():
    """And never by the package's name: on PyPI robot-ai is a stranger's."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "firmware" / "README.md", ROOT / "package.xml"]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    sources = {file: file.read_text(encoding="utf-8") for file in (ROOT / "robot_ai").rglob("*.py")}
    by_name = [
        str(file) for file, text in (texts | sources).items() if re.search(r"pip install\s+\W*robot[_-]ai", text)
    ]
    assert not by_name
    named = {
        extra
        for text in texts.values()
        for found in re.findall(r"'\.\[([\w,]+)\]'", text)
        for extra in found.split(",")
    }
    for text in sources.values():
        calls = (node for node in ast.walk(ast.parse(text)) if is_call(node, "pip_install"))
        named |= {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert {"serving", "lidar", "train"} <= named <= extras()


def test_versions_agree():
    assert package_xml().findtext("version") == robot_ai.__version__


def test_maintainers_agree():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    maintainer = package_xml().find("maintainer")
    assert f'maintainer="{maintainer.text}"' in text
    assert f'maintainer_email="{maintainer.get("email")}"' in text


def test_colcon_takes_it_for_an_ament_package():
    # With an address that catkin_pkg rejects, colcon would build a plain Python package and say nothing.
    from catkin_pkg import package

    manifest = package.parse_package(str(ROOT))
    manifest.validate()
    assert manifest.get_build_type() == "ament_python"


def test_executables_lie_where_ros2_run_looks():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["develop"]["script_dir"] == "$base/lib/robot_ai"
    assert config["install"]["install_scripts"] == "$base/lib/robot_ai"


def test_every_requirement_is_known_to_rosdep_or_excused():
    assert requirements() == set(ROSDEP)


@pytest.mark.parametrize("requirement", [name for name, key in ROSDEP.items() if key])
def test_requirement_is_in_package_xml(requirement):
    manifest = package_xml()
    named = {element.text for tag in ("exec_depend", "test_depend") for element in manifest.findall(tag)}
    assert ROSDEP[requirement] in named


def test_wheel_holds_the_data(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    share = f"robot_ai-{robot_ai.__version__}.data/data/share"
    assert {f"{share}/ament_index/resource_index/packages/robot_ai", f"{share}/robot_ai/package.xml"} <= names
    for folder in ("launch", "config", "models", "worlds"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files
        assert {f"{share}/robot_ai/{path.relative_to(ROOT)}" for path in files} <= names
    assert "robot_ai/py.typed" in names
    assert not [name for name in names if name.startswith(("test", "bench", "tools", "interfaces"))]


def test_wheel_declares_commands_and_backends(built):
    with zipfile.ZipFile(built[1]) as wheel:
        text = wheel.read(f"robot_ai-{robot_ai.__version__}.dist-info/entry_points.txt").decode()
    points = configparser.ConfigParser()
    points.read_string(text)
    assert {"camera_detector", "image_source", "robot_ai"} <= set(points["console_scripts"])
    assert {"pytorch", "tensorflow", "stub"} <= set(points["robot_ai.backends"])


def test_imports_without_framework_and_ros(bare):
    script = "import robot_ai, robot_ai.backends.registry as r; print(*(b.name for b in r.available()))"
    done = bare(script)
    assert done.returncode == 0, done.stderr
    assert {"pytorch", "tensorflow", "litert", "onnx", "openvino", "stub"} <= set(done.stdout.split())


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_missing_framework_names_the_extra(bare, backend):
    done = bare(
        "from robot_ai.backends.errors import MissingFrameworkError\n"
        "from robot_ai.backends.registry import create\n"
        "from robot_ai.models.card import ModelCard\n"
        "from robot_ai.models.find import find_model\n"
        "try:\n"
        f"    create('{backend}').load(ModelCard.load(find_model('nanodet_g')), 'cpu')\n"
        "except MissingFrameworkError as error:\n"
        "    print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    assert f"pip install -e '.[{backend}]'" in done.stdout
