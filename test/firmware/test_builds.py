"""The firmware's build files, without their toolchains: what they name is there, and what is there is named."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
COMPONENT = FIRMWARE / "esp_idf" / "robot_mcu"
PORTABLE = {"src/app.c", "src/drive.c", "src/compact_detections.c", "src/inference_none.c"}
BOARDS = {
    "host": ("boards/host/board.c", "boards/posix/transport.c"),
    "esp_idf over UDP": ("boards/esp_idf/board.c", "boards/freertos/control.c", "boards/posix/transport.c"),
    "esp_idf over a UART": ("boards/esp_idf/board.c", "boards/freertos/control.c", "boards/esp_idf/uart.c"),
    "arduino": ("boards/arduino/board.cpp", "boards/freertos/control.c"),
}


def text(path: str) -> str:
    return (FIRMWARE / path).read_text(encoding="utf-8")


def sources(listing: str) -> set[str]:
    return set(re.findall(r"(?:src|boards)/[\w/]+\.c(?:c|pp)?\b", listing))


def limits() -> dict[str, str]:
    packages = json.loads(text("colcon.meta"))["names"]
    return dict(argument.removeprefix("-D").split("=") for argument in packages["rmw_microxrcedds"]["cmake-args"])


@pytest.mark.parametrize(
    ("build", "boards"),
    [
        ("CMakeLists.txt", {"boards/host/board.c", "boards/posix/transport.c"}),
        (
            "esp_idf/robot_mcu/CMakeLists.txt",
            {
                "boards/esp_idf/board.c",
                "boards/esp_idf/uart.c",
                "boards/freertos/control.c",
                "boards/posix/transport.c",
            },
        ),
    ],
)
def test_cmake_names_every_source_of_its_board(build: str, boards: set[str]) -> None:
    named = sources(text(build))
    assert named == PORTABLE | boards
    assert all((FIRMWARE / source).is_file() for source in named)
    portable = {f"src/{path.name}" for path in (FIRMWARE / "src").glob("*.c")}
    assert portable == PORTABLE


@pytest.mark.parametrize("filters", ["library", "project"])
def test_platformio_filters_name_what_is_there(filters: str) -> None:
    if filters == "library":
        library = json.loads(text("library.json"))
        included = " ".join(library["build"]["srcFilter"])
        assert all((FIRMWARE / path).exists() for path in library["export"]["include"])
        assert (FIRMWARE / library["build"]["includeDir"] / library["headers"]).is_file()
    else:
        project = configparser.ConfigParser(interpolation=None)
        project.read_string(text("platformio.ini"))
        included = project["env"]["build_src_filter"]
        assert (FIRMWARE / project["env"]["board_microros_user_meta"]).is_file()
    paths = re.findall(r"[+-]<([^>*]+)>", included)
    assert "-<src/inference_tflm.cc>" in included
    assert {"src/", *(f"{Path(source).parent}/" for source in BOARDS["arduino"])} <= set(paths)
    assert all((FIRMWARE / path).exists() for path in paths)


def test_the_library_leaves_setup_to_the_sketch() -> None:
    assert "void setup()" in text("boards/arduino/main.cpp")
    assert "void setup()" not in text("boards/arduino/board.cpp")
    assert "-<boards/arduino/main.cpp>" in json.loads(text("library.json"))["build"]["srcFilter"]


def test_the_esp_idf_manifest_names_targets_that_have_pins() -> None:
    manifest = yaml.safe_load((COMPONENT / "idf_component.yml").read_text(encoding="utf-8"))
    assert set(manifest["dependencies"]) == {"idf"}
    named = {target.lower() for target in re.findall(r"IDF_TARGET_(\w+)", (COMPONENT / "Kconfig").read_text("utf-8"))}
    assert named <= set(manifest["targets"])
    assert len(set(manifest["targets"]) - named) == 1  # the last default serves one more


def test_kconfig_declares_what_the_board_and_its_build_use() -> None:
    declared = set(re.findall(r"^\s+config (MCU_\w+)", (COMPONENT / "Kconfig").read_text("utf-8"), re.MULTILINE))
    using = [*(FIRMWARE / "boards" / "esp_idf").iterdir(), COMPONENT / "CMakeLists.txt"]
    assert declared == {name for path in using for name in re.findall(r"CONFIG_(MCU_\w+)", path.read_text("utf-8"))}


def test_no_two_pins_of_a_target_are_the_same() -> None:
    kconfig = (COMPONENT / "Kconfig").read_text("utf-8")
    pins = re.findall(
        r"config MCU_PIN_\w+\n.*\n\s+default (\d+) if.*\n\s+default (\d+) if.*\n\s+default (\d+)", kconfig
    )
    assert len(pins) == kconfig.count("config MCU_PIN_")
    for target in zip(*pins, strict=True):
        assert len(set(target)) == len(target)


def test_the_limits_are_what_the_application_makes() -> None:
    app, limit = text("src/app.c"), limits()
    count = {
        kind: len(re.findall(rf"rclc_{kind}_init_(?:default|best_effort)\(", app))
        for kind in ("publisher", "subscription", "service")
    }
    assert count["publisher"] == int(limit["RMW_UXRCE_MAX_PUBLISHERS"])
    assert count["subscription"] == int(limit["RMW_UXRCE_MAX_SUBSCRIPTIONS"])
    assert count["service"] == int(limit["RMW_UXRCE_MAX_SERVICES"])
    handles = int(re.findall(r"#define HANDLES (\d+)", app)[0])
    assert handles >= count["subscription"] + count["service"]
    assert limit["RMW_UXRCE_TRANSPORT"] == "custom"


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_has_all_that_the_application_wants(board: str) -> None:
    wanted = set(re.findall(r"\b(board_\w+)\(", re.sub(r"/\*.*?\*/", "", text("src/board.h"), flags=re.DOTALL)))
    there = re.findall(r"^\w+ (board_\w+)\(", "\n".join(text(path) for path in BOARDS[board]), re.MULTILINE)
    assert sorted(there) == sorted(wanted)


def test_what_needs_no_micro_ros_compiles_without_warnings() -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    free = [FIRMWARE / path for path in ("boards/host/board.c", "src/inference_none.c", "src/drive.c")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(FIRMWARE / "src")]
    subprocess.run([compiler, *flags, *map(str, free)], check=True)
