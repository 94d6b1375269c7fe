"""Images against the camera's own geometry, with every renderer that works here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sdf_worlds import (
    CAMERA,
    box,
    renderer_of,
    scene_of,
    sensor_model,
    sensor_named,
    settled,
    shape_model,
    working_renderers,
)

from robot_ai.geometry.camera import CameraModel
from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.gl_renderer import may_be_seen
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.ray_renderer import STRIDE
from robot_ai.simulation.renderers import GL_KINDS, choose, probe
from robot_ai.simulation.sdf_types import CameraSpec

RENDERERS = working_renderers()
INTRINSICS = "<lens><intrinsics><fx>250</fx><fy>260</fy><cx>140</cx><cy>131.5</cy></intrinsics></lens>"
LIGHT = '<light name="sun" type="directional"><direction>1 0 -0.2</direction></light>'


def numbers(count: int) -> np.ndarray:
    """Each geom's own number, from 1 on, and 0 for the sky."""
    return np.append(np.arange(1, count + 1), 0).astype(np.uint16)


@pytest.mark.parametrize("more", ["", INTRINSICS], ids=["fov", "intrinsics"])
@pytest.mark.parametrize("kind", RENDERERS)
def test_pixels_are_where_camera_info_projects_points(kind: str, more: str, tmp_path: Path) -> None:
    """The front face of a box, seen from the side and above; its outline against robot_ai's own camera model."""
    target = shape_model("target", "3 0.35 0.8 0 0 0", box(0.0002, 0.9, 0.5), label=0)
    scene = scene_of(target + sensor_model(CAMERA.format(more=more)), tmp_path)
    mounted = sensor_named(scene, "camera")
    spec = mounted.sensor.spec
    assert isinstance(spec, CameraSpec)
    with renderer_of(scene, kind) as renderer:
        image = renderer.segment(settled(scene), mounted.camera, spec.width, spec.height, numbers(scene.model.ngeom))
    rows, columns = np.nonzero(image)
    model = CameraModel(
        spec.width, spec.height, np.array([[spec.focal[0], 0, spec.center[0]], [0, spec.focal[1], spec.center[1]],
                                           [0, 0, 1.0]]), np.zeros(5)
    )  # fmt: skip
    # Optical: x right = -y, y down = 1 - z, z ahead.
    corners = np.array([[-0.35 - side * 0.45, 0.2 - up * 0.25, 3.0] for side in (-1, 1) for up in (-1, 1)])
    pixels, _ = model.project(corners)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    tolerance = 0.75 if kind != "rays" else STRIDE
    # The outermost pixels' middles lie within the outline, less than a pixel from it.
    assert columns.min() == pytest.approx(low[0] + 0.5, abs=tolerance)
    assert columns.max() == pytest.approx(high[0] - 0.5, abs=tolerance)
    assert rows.min() == pytest.approx(low[1] + 0.5, abs=tolerance)
    assert rows.max() == pytest.approx(high[1] - 0.5, abs=tolerance)


@pytest.mark.parametrize("kind", RENDERERS)
def test_colors_and_sky_are_those_of_the_world(kind: str, tmp_path: Path) -> None:
    red = shape_model("red", "3 0.5 1 0 0 0", box(0.1, 0.8, 0.8), color="0.9 0.05 0.05")
    blue = shape_model("blue", "3 -0.5 1 0 0 0", box(0.1, 0.8, 0.8), color="0.05 0.05 0.9")
    sky = "<scene><ambient>0.4 0.4 0.4</ambient><background>0.1 0.8 0.2</background></scene>"
    scene = scene_of(sky + LIGHT + red + blue + sensor_model(CAMERA.format(more="")), tmp_path)
    mounted = sensor_named(scene, "camera")
    with renderer_of(scene, kind) as renderer:
        image = renderer.render(settled(scene), mounted.camera, 320, 240).astype(int)
    left, right, top = image[120, 120], image[120, 200], image[5, 160]
    assert left[0] > 120 and left[1:].max() < 40
    assert right[2] > 120 and right[:2].max() < 40
    np.testing.assert_allclose(top, [0.1 * 255, 0.8 * 255, 0.2 * 255], atol=3)


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_texture_is_the_right_way_up(kind: str, tmp_path: Path) -> None:
    """Upper half green, lower half red, by the texture coordinates of the file: v grows upwards."""
    import cv2

    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = (0, 255, 0)
    picture[16:] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "flag.png"), picture)
    (tmp_path / "flag.mtl").write_text("newmtl cloth\nKd 1 1 1\nmap_Kd flag.png\n")
    (tmp_path / "flag.obj").write_text(
        "mtllib flag.mtl\nusemtl cloth\nv 3 1 0\nv 3 -1 0\nv 3 -1 2\nv 3 1 2\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        "f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    flag = shape_model("flag", "0 0 0 0 0 0", "<mesh><uri>flag.obj</uri></mesh>").replace(
        "<material><diffuse>0.5 0.5 0.5</diffuse></material>", ""
    )
    scene = scene_of(LIGHT + flag + sensor_model(CAMERA.format(more="")), tmp_path)
    mounted = sensor_named(scene, "camera")
    with renderer_of(scene, kind) as renderer:
        image = renderer.render(settled(scene), mounted.camera, 320, 240).astype(int)
    upper, lower = image[90, 160], image[150, 160]
    if kind == "rays":  # draws a texture as its average
        assert upper[0] > 40 and upper[1] > 40 and upper[2] < 20
    else:
        assert upper[1] > 100 > 3 * upper[0]
        assert lower[0] > 100 > 3 * lower[1]


@pytest.mark.parametrize("kind", [kind for kind in RENDERERS if kind != "rays"])
def test_more_things_than_a_byte_counts_are_told_apart(kind: str, tmp_path: Path) -> None:
    things = "".join(
        shape_model(f"t{row}_{column}", f"4 {1.9 - 0.2 * column} {0.2 + 0.11 * row} 0 0 0", box(0.05, 0.12, 0.08))
        for row in range(15)
        for column in range(20)
    )
    scene = scene_of(things + sensor_model(CAMERA.format(more="")), tmp_path)
    mounted = sensor_named(scene, "camera")
    with renderer_of(scene, kind) as renderer:
        image = renderer.segment(settled(scene), mounted.camera, 320, 240, numbers(scene.model.ngeom))
    assert set(np.unique(image)) == set(range(301))


def test_culling_leaves_out_only_what_cannot_be_seen(tmp_path: Path) -> None:
    """Every thing that rays find in the image must be among those that are drawn."""
    rng = np.random.default_rng(3)
    spots = rng.uniform((-8, -8, 0), (8, 8, 3), (150, 3))
    things = "".join(
        shape_model(f"t{index}", f"{x} {y} {z} 0.3 0.2 {x}", box(*rng.uniform(0.1, 1.5, 3)))
        for index, (x, y, z) in enumerate(spots.tolist())
    )
    scene = scene_of(things + sensor_model(CAMERA.format(more=INTRINSICS), "0 0 1 0 0.2 0.5"), tmp_path)
    mounted, data = sensor_named(scene, "camera"), settled(scene)
    with renderer_of(scene, "rays") as renderer:
        image = renderer.segment(data, mounted.camera, 320, 240, numbers(scene.model.ngeom))
    drawn = may_be_seen(scene.model, data, mounted.camera, 0.0)
    seen = np.unique(image[image > 0]) - 1
    assert len(seen) > 10
    assert drawn[seen].all()
    assert drawn.mean() < 0.6, "most are beside or behind"


@pytest.mark.parametrize("kind", [kind for kind in RENDERERS if kind != "rays"])
def test_shadows_fall_away_from_the_light(kind: str, tmp_path: Path) -> None:
    light = (
        '<light name="sun" type="directional"><pose>0 0 8 0 0 0</pose><cast_shadows>true</cast_shadows>'
        "<direction>0.3 -1 -1</direction></light>"
    )
    things = shape_model("ground", "0 0 0 0 0 0", "<plane><size>40 40</size></plane>")
    things += shape_model("pillar", "4 0.5 0.5 0 0 0", box(0.3, 0.3, 1.0))
    brightness = {}
    for size in (0, 2048):
        scene = scene_of(light + things + sensor_model(CAMERA.format(more="")), tmp_path, Quality(size, 0, 0.0))
        mounted = sensor_named(scene, "camera")
        with renderer_of(scene, kind) as renderer:
            image = renderer.render(settled(scene), mounted.camera, 320, 240)
        brightness[size] = image[:, 160:200].min()
    assert brightness[2048] < 0.7 * brightness[0]


def test_auto_falls_back_to_rays_where_no_opengl_works() -> None:
    """Real libraries, made unusable for the probes by telling libglvnd of no vendor."""
    script = (
        "import sys; from robot_ai.simulation.renderers import choose; kind, why = choose('auto'); print(kind);"
        "print(len(why), *why)"
    )
    environment = {
        **os.environ,
        "__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent",
        "EGL_PLATFORM": "surfaceless",
        "LIBGL_DRIVERS_PATH": "/nonexistent",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    kind, reasons = done.stdout.splitlines()[:2]
    if kind == "osmesa":
        assert not probe("osmesa")
        pytest.skip("OSMesa is installed here, which needs no EGL: the fall-back to it was seen instead")
    assert kind == "rays"
    assert reasons.startswith("2") and "libegl1" in reasons and "libosmesa6" in reasons


def test_one_that_is_asked_for_and_does_not_work_is_refused() -> None:
    missing = [kind for kind in ("egl", "osmesa") if probe(kind)]
    if not missing:
        pytest.skip("both kinds of OpenGL work here")
    with pytest.raises(RendererError, match=rf"{missing[0]}.*apt install"):
        choose(missing[0])


def test_a_driver_that_hangs_is_given_up_for_the_next_renderer() -> None:
    """No probe is through in a hundredth of a second: each is ended, and what needs no driver is left."""
    kind, reasons = choose("auto", limit=0.01)
    assert kind == "rays"
    assert [reason.split(" (")[0] for reason in reasons] == [f"{name}: no image within 0.01 s" for name in GL_KINDS]
    with pytest.raises(RendererError, match=r"egl: no image within 0\.01 s.*renderer:=auto"):
        choose("egl", limit=0.01)
