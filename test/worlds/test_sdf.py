"""The SDF files against Debian's SDFormat 12, the last checker that a registry has; Harmonic reads the same files."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WORLDS = Path(__file__).resolve().parents[2] / "worlds"
MODELS = WORLDS / "models"
# Read by gz-sensors 8 (Sensor::Load) beside the schema, as the frame of a sensor's messages.
BESIDE_THE_SCHEMA = {"gz_frame_id"}
UNKNOWN = re.compile(r"XML Element\[(\w+)\], child of element\[(\w+)\], not defined in SDF")


def check(file: Path, home: Path, *models: Path) -> tuple[str, set[str]]:
    """What `ign sdf -k` says of a file and all it includes, and which elements its log calls unknown.

    The log is empty before: the home is new.
    """
    if shutil.which("ign") is None:
        pytest.skip("needs ign: apt-get install libsdformat12-12 libsdformat-dev sdformat-sdf ignition-tools")
    home.mkdir(exist_ok=True)
    path = os.pathsep.join(str(folder) for folder in (*models, MODELS))
    done = subprocess.run(
        ["ign", "sdf", "-k", str(file)],
        env={**os.environ, "HOME": str(home), "SDF_PATH": path},
        cwd=home,  # a folder of the working directory may pass for a model
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    if "I cannot find any available" in said:
        pytest.skip("ign has no command sdf: apt-get install sdformat-sdf libsdformat-dev")
    log = home / ".sdformat" / "sdformat.log"  # not there when there is nothing to tell
    return said, {element for element, _ in UNKNOWN.findall(log.read_text(encoding="utf-8") if log.is_file() else "")}


@pytest.mark.parametrize("world", ["room", "street"])
def test_is_valid_and_has_no_unknown_element(world, tmp_path):
    said, unknown = check(WORLDS / f"{world}.sdf", tmp_path)
    assert "Valid." in said
    assert "Error" not in said
    assert unknown <= BESIDE_THE_SCHEMA


def test_every_model_is_checked_as_part_of_a_world():
    text = "".join(file.read_text(encoding="utf-8") for file in WORLDS.glob("*.sdf"))
    assert [
        folder.parent.name for folder in MODELS.glob("*/model.sdf") if f"<uri>model://{folder.parent.name}<" not in text
    ] == []


def test_the_check_sees_what_is_wrong(tmp_path):
    broken = tmp_path / "sofa"
    shutil.copytree(MODELS / "sofa", broken)
    sdf = broken / "model.sdf"
    sdf.write_text(sdf.read_text(encoding="utf-8").replace("<link ", "<levity>1</levity><link "), encoding="utf-8")
    _, unknown = check(WORLDS / "room.sdf", tmp_path / "home", tmp_path)
    assert "levity" in unknown
    lost = tmp_path / "lost.sdf"
    lost.write_text(
        (WORLDS / "room.sdf").read_text(encoding="utf-8").replace("model://sofa<", "model://sofabed<"), encoding="utf-8"
    )
    said, _ = check(lost, tmp_path / "home")
    assert "sofabed" in said
    assert "Valid." not in said
