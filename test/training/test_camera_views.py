"""Views of a small world: the same files for the same settings, and boxes where the things are drawn."""

import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="views are drawn by the simulator, extra simulation")
from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.renderers import choose
from robot_ai.training import camera_views
from robot_ai.training.camera_views import ViewSettings, is_held_out, make_views, photograph
from robot_ai.training.coco import ANNOTATIONS, CocoDataSet, DataSetError

LABELS = ("person", "ball")
WORLD = """\
<sdf version="1.9"><world name="w">
  <light name="sun" type="directional"><diffuse>1 1 1 1</diffuse><direction>0 0 -1</direction></light>
  <model name="floor"><static>true</static><link name="link"><collision name="c"><geometry><plane><normal>0 0 1</normal>
    <size>20 20</size></plane></geometry></collision></link></model>
  {things}
  <model name="robot"><link name="base">
    <collision name="c"><pose>0 0 0.2 0 0 0</pose><geometry><box><size>0.3 0.3 0.3</size></box></geometry></collision>
    <sensor name="camera" type="camera"><pose>0.2 0 0.4 0 0 0</pose><camera><horizontal_fov>1.2</horizontal_fov>
      <image><width>160</width><height>120</height></image><clip><near>0.05</near><far>50</far></clip></camera></sensor>
  </link></model>
</world></sdf>
"""
BALL = """<model name="ball_{n}"><static>true</static><pose>{x} {y} 0.5 0 0 0</pose>
  <plugin filename="gz-sim-label-system" name="gz::sim::systems::Label"><label>1</label></plugin>
  <link name="link"><collision name="c"><geometry><sphere><radius>0.5</radius></sphere></geometry></collision>
  <visual name="v"><geometry><sphere><radius>0.5</radius></sphere></geometry>
  <material><diffuse>1 0 0 1</diffuse></material></visual></link></model>"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    file = tmp_path_factory.mktemp("world") / "w.sdf"
    places = [(-4, -4), (4, -4), (-4, 4), (4, 4), (0, 0)]
    things = "".join(BALL.format(n=n, x=x, y=y) for n, (x, y) in enumerate(places))
    file.write_text(WORLD.format(things=things))
    return ViewSettings(world=str(file), count=6, seed=3, renderer="rays")


def test_the_same_settings_give_the_same_files(settings, tmp_path):
    for name in ("a", "b"):
        make_views(settings, LABELS, tmp_path / name)
    first, second = (sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")) for n in ("a", "b"))
    assert first == second
    assert len(first) == 7
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in first)
    # It is COCO's format, and nothing is drawn twice.
    assert len(list(CocoDataSet(tmp_path / "a"))) == 6
    make_views(settings, LABELS, tmp_path / "a")
    with pytest.raises(DataSetError, match="other settings"):
        make_views(dataclasses.replace(settings, seed=4), LABELS, tmp_path / "a")


def test_boxes_lie_around_what_is_drawn(settings, tmp_path):
    still = dataclasses.replace(settings, held_out=True)
    make_views(still, LABELS, tmp_path)
    content = json.loads((tmp_path / ANNOTATIONS).read_bytes())
    checked = 0
    for entry in content["images"]:
        assert is_held_out(entry["x"], entry["y"])
        mine = [a for a in content["annotations"] if a["image_id"] == entry["id"]]
        assert all(a["category_id"] == 2 and a["thing"].startswith("ball_") for a in mine)
        image = cv2.imread(str(tmp_path / "images" / entry["file_name"])).astype(int)
        red = image[..., 2] > image[..., :2].max(axis=2) + 40
        rows, columns = np.nonzero(red)
        low = np.min([a["bbox"][:2] for a in mine], axis=0)
        high = np.max([np.add(a["bbox"][:2], a["bbox"][2:]) for a in mine], axis=0)
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx([*low, *high], abs=3)
        checked += 1
    assert checked == 6


def test_the_robot_stands_on_its_own_tiles_and_in_nothing(settings):
    views = list(photograph(settings, LABELS))
    assert len({view.position for view in views}) == 6
    for view in views:
        x, y, _ = view.position
        assert not is_held_out(x, y)
        for ball in ((-4, -4), (4, -4), (-4, 4), (4, 4), (0, 0)):
            assert np.hypot(x - ball[0], y - ball[1]) > 0.5


def test_views_are_not_drawn_by_rays_unless_asked_for(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(camera_views, "choose", functools.partial(choose, limit=0.01))
    with pytest.raises(RendererError, match=r"OpenGL.*no image within.*rays"):
        make_views(dataclasses.replace(settings, renderer="auto"), LABELS, tmp_path / "views")
