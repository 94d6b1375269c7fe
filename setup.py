"""Package definition: read by pip on a bare machine and by colcon (ament_python) on a robot."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "robot_ai"
HERE = Path(__file__).resolve().parent

# The CPU frameworks are pinned: a range lets pip choose a CUDA build of several gigabytes.
PYTORCH = ["torch==2.13.0"]
TENSORFLOW = ["tensorflow-cpu==2.21.0"]
LITERT = ["ai-edge-litert==2.3.0"]
ONNX = [
    "onnxruntime==1.32.0;python_version>='3.11'",
    "onnxruntime==1.23.2;python_version<'3.11'",  # the last one for Python 3.10
]
OPENVINO = ["openvino==2026.4.1"]
# Enough to call a model server; the messages are our own (robot_ai/backends/serving/messages.py).
SERVING = ["grpcio>=1.51", "protobuf>=3.20", "orjson>=3.9"]
# ROS 2 Jazzy from PyPI, x86-64 only; a robot has these from its distribution. rmw-fastrtps must be named.
ROS = [
    "ros-jazzy-rclpy==7.1.6",
    "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
    "ros-jazzy-common-interfaces==5.3.6",
    "ros-lifecycle-msgs==2.0.3",
    "ros-rosgraph-msgs==2.0.3",
    "fastcrc>=0.3",  # of serial lines; without it, as on a robot that rosdep set up, the bridge computes them itself
]
# The converters of `robot_ai model export`. torchvision, which onnx2torch imports, fits one PyTorch each.
CONVERT = [
    *PYTORCH,
    *TENSORFLOW,
    *LITERT,
    *ONNX,
    "onnx>=1.16",
    "onnxscript>=0.7.2",
    "tf2onnx==1.17.0",
    "onnx2torch==1.5.15",
    "torchvision==0.28.0",
]
TENSORBOARD = ["tensorboard>=2.17"]
BENCHMARK = ["matplotlib>=3.8", *TENSORBOARD]
BAGS = ["rosbags==0.11.9"]  # rosbag2's files, MCAP among them, without rosbag2
VIEW = ["rerun-sdk==0.41.0;python_version>='3.11'"]  # needs Python 3.11
DEMO = ["scikit-image>=0.22", "scikit-learn>=1.4"]  # their wheels carry the photos
LIDAR = ["pypcd4>=1.2"]  # reads .pcd files; Ouster's library, for .osf, pins what the tests need in other versions
# 3.8.1 is the last MuJoCo with wheels for Python 3.10; trimesh and Pillow read the worlds' meshes and textures.
SIMULATION = ["mujoco==3.8.1", "trimesh>=4.4", "pillow>=10"]
# What `robot_ai train` takes: views drawn by the simulator, photos, TensorBoard's logs, a progress bar.
TRAIN = [*PYTORCH, *SIMULATION, *DEMO, *TENSORBOARD, "tqdm>=4.60"]
TEST = [
    *BAGS,
    *LIDAR,
    *TENSORBOARD,  # the logs of `robot_ai train`
    *VIEW,
    *SIMULATION,
    "pytest==8.3.5",  # launch_testing breaks every pytest 9 run
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "mypy==2.4.1",
    # Python 3.11's last, everywhere: the types of later ones (Python 3.12 on) refuse what these take.
    "numpy<2.5",
    "ruff==0.17.6",
    "types-PyYAML",
    "onnx>=1.16",
    "types-defusedxml",
    "types-pyserial",
    "pycocotools>=2.0.8",
    "psutil>=5.9",
    "catkin-pkg>=1.0",
    "python-rapidjson>=1.20",  # of tritonclient, which tools/bootstrap.py installs
]


def version() -> str:
    text = (HERE / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    assert found, "robot_ai/__init__.py must define __version__"
    return found.group(1)


def share(folder: str) -> list[tuple[str, list[str]]]:
    """Lists every file below `folder` for installation under share/robot_ai/, keeping sub-folders."""
    by_parent: dict[str, list[str]] = {}
    for path in sorted((HERE / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(HERE)
            by_parent.setdefault(f"share/{PACKAGE}/{relative.parent}", []).append(str(relative))
    return sorted(by_parent.items())


setup(
    name=PACKAGE,
    version=version(),
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *share("launch"),
        *share("config"),
        *share("models"),
        *share("worlds"),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "opencv-python-headless>=4.6",
        "PyYAML>=6",
        "defusedxml>=0.7",
        "pyserial>=3.5",
        "safetensors>=0.4",
        "scipy>=1.10",
    ],
    extras_require={
        "pytorch": PYTORCH,
        "tensorflow": TENSORFLOW,
        "litert": LITERT,
        "onnx": ONNX,
        "openvino": OPENVINO,
        "serving": SERVING,
        "convert": CONVERT,
        "benchmark": BENCHMARK,
        "train": TRAIN,
        "import": ["onnx>=1.16"],  # reads ONNX files; the other formats are read with their backends' packages
        "ros": ROS,
        "bags": BAGS,
        "demo": DEMO,
        "view": VIEW,
        "lidar": LIDAR,
        "simulation": SIMULATION,
        "test": TEST,
    },
    zip_safe=False,
    description="Perception for ROS 2 robots over interchangeable PyTorch and TensorFlow backends",
    license="Apache-2.0",
    maintainer="robot_ai maintainers",
    maintainer_email="maintainers@robot-ai.example.org",
    entry_points={
        "console_scripts": [
            "camera_detector = robot_ai.nodes.starting:camera_detector",
            "detection_fusion = robot_ai.nodes.starting:detection_fusion",
            "follow_and_avoid = robot_ai.nodes.starting:follow_and_avoid",
            "image_source = robot_ai.nodes.starting:image_source",
            "lidar_detector = robot_ai.nodes.starting:lidar_detector",
            "micro_ros_bridge = robot_ai.nodes.starting:micro_ros_bridge",
            "simulator = robot_ai.nodes.starting:simulator",
            "robot_ai = robot_ai.cli.main:main",
            "model = robot_ai.cli.main:model",
        ],
        "robot_ai.backends": [
            "pytorch = robot_ai.backends.pytorch:PyTorchBackend",
            "tensorflow = robot_ai.backends.tensorflow:TensorFlowBackend",
            "litert = robot_ai.backends.litert:LiteRTBackend",
            "onnx = robot_ai.backends.onnx:OnnxBackend",
            "openvino = robot_ai.backends.openvino:OpenVINOBackend",
            "tf_serving = robot_ai.backends.tf_serving:TFServingBackend",
            "kserve = robot_ai.backends.kserve:KServeBackend",
            "stub = robot_ai.backends.stub:StubBackend",
        ],
    },
)
