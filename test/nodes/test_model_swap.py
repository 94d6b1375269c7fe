"""Models swapped on a running camera_detector, and backends that fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from frame_stream import LATCHED, Stream, arguments, books
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from ros_harness import Diagnostics, NodeProcess, Peer, node_and_peer
from std_srvs.srv import SetBool
from stub_card import write_stub_card
from vision_msgs.msg import LabelInfo, VisionInfo

from robot_ai.models.find import find_model
from robot_ai.ros.qos import DEPTH

NODE = "/camera_detector"


def request(peer: Peer, atomic: bool = True, **values: Any) -> Any:
    """Starts a set request and returns its future."""
    kind, name = (SetParametersAtomically, "set_parameters_atomically") if atomic else (SetParameters, "set_parameters")
    client = peer.node.create_client(kind, f"{NODE}/{name}")
    peer.wait(client.service_is_ready)
    parameters = [Parameter(key, value=value).to_parameter_msg() for key, value in values.items()]
    return client.call_async(kind.Request(parameters=parameters))


def edit_card(card: Path, **changes: Any) -> Path:
    content = yaml.safe_load((card / "model.yaml").read_text(encoding="utf-8"))
    content.update(changes)
    (card / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return card


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[NodeProcess, Peer, Stream, Path]]:
    card = write_stub_card(tmp_path / "first")
    with node_and_peer("camera_detector", arguments(card), tmp_path / "log") as (node, peer):
        yield node, peer, Stream(peer), tmp_path


def test_a_swap_under_way_loses_no_frame_and_is_announced(running) -> None:
    _, peer, stream, folder = running
    second = edit_card(write_stub_card(folder / "second", load_delay=1.0), labels=["light", "dark"], name="second")
    labels, info = peer.listen(LabelInfo, "label_info", LATCHED), peer.listen(VisionInfo, "vision_info", LATCHED)
    status = peer.listen(DiagnosticStatus, "backend_status", LATCHED)
    peer.wait(lambda: labels and info)
    version = info[-1].database_version
    stream.start().more(10)
    future = request(peer, model=str(second), threads=1)
    stream.more(15)
    assert not future.done(), "the answer came before the model was there"
    assert peer.get(NODE, "model") != str(second), "the value changes with the model, not before"
    peer.wait(future.done)
    assert future.result().result.successful
    assert peer.get(NODE, "model") == str(second) and peer.get(NODE, "threads") == 1
    stream.more(10)
    stream.stop()
    received, published, dropped, in_flight = books(peer, stream)
    assert received == len(stream.sent) == published + dropped["stale"] and in_flight == 0
    assert info[-1].database_version > version and "second" in info[-1].method
    assert [c.class_name for c in labels[-1].class_map] == ["light", "dark"]
    assert any("loading" in s.message for s in status)
    assert {pair.key: pair.value for pair in status[-1].values}["swaps"] == "1"


def test_frames_that_come_in_a_bunch_while_a_model_loads_are_all_answered(running) -> None:
    _, peer, stream, folder = running
    status = peer.listen(DiagnosticStatus, "backend_status", LATCHED)
    stream.start().more(3)
    stream.stop()
    future = request(peer, model=str(write_stub_card(folder / "second", load_delay=3.0)))
    peer.wait(lambda: any("loading" in s.message for s in status))
    # As many as the middleware keeps for a busy executor: of more, some would be lost before they arrive.
    bunch = set(stream.burst(DEPTH))
    peer.wait(lambda: bunch <= set(stream.answers))
    assert not future.done(), "the model was there before the frames"


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_serving(running) -> None:
    _, peer, stream, folder = running
    bad = write_stub_card(folder / "bad", fail_load=True)
    before = peer.get(NODE, "model")
    stream.start().more(5)
    for atomic in (True, False):
        future = request(peer, atomic, model=str(bad))
        peer.wait(future.done)
        results = [future.result().result] if atomic else future.result().results
        assert len(results) == 1 and not results[0].successful
        assert "told to fail" in results[0].reason
    assert peer.get(NODE, "model") == before
    assert "told to fail" in Diagnostics(peer).next("swap")[1]
    stream.more(5)
    stream.stop()
    assert books(peer, stream)[2]["failed"] == 0


def test_a_model_without_a_class_of_the_filter_is_refused(running) -> None:
    _, peer, stream, folder = running
    assert peer.set(NODE, class_filter=["bright"]).successful
    other = edit_card(write_stub_card(folder / "other"), labels=["light", "other"])
    stream.start().more(5)
    refused = peer.set(NODE, model=str(other))
    assert not refused.successful and "no class 'bright'" in refused.reason
    assert peer.set(NODE, model=str(other), class_filter=["light"]).successful
    assert not peer.set(NODE, class_filter=["bright"]).successful
    stream.more(5)
    stream.stop()
    assert books(peer, stream)[2]["failed"] == 0


def test_of_two_swaps_the_last_wins(running) -> None:
    _, peer, stream, folder = running
    slow = edit_card(write_stub_card(folder / "slow", load_delay=3.0), name="slow")
    quick = edit_card(write_stub_card(folder / "quick"), name="quick")
    stream.start().more(5)
    first = request(peer, model=str(slow))
    stream.more(5)
    second = request(peer, model=str(quick))
    peer.wait(lambda: first.done() and second.done())
    assert not first.result().result.successful and "superseded" in first.result().result.reason
    assert second.result().result.successful
    assert peer.get(NODE, "model") == str(quick)
    peer.spin(3.0)  # the slow one is loaded by now, and is not installed
    assert "quick" in Diagnostics(peer).next("swap")[2]["serving"]
    stream.stop()
    books(peer, stream)


def test_asking_for_what_serves_cancels_a_swap_under_way(running) -> None:
    """Of two requests the last wins, also when it is the way back."""
    _, peer, stream, folder = running
    before = peer.get(NODE, "model")
    slow = edit_card(write_stub_card(folder / "slow", load_delay=2.0), name="slow")
    stream.start().more(5)
    first = request(peer, model=str(slow))
    stream.more(5)
    assert peer.set(NODE, model=before).successful
    peer.wait(first.done, timeout=1.0)
    assert not first.result().result.successful and "superseded" in first.result().result.reason
    peer.spin(3.0)
    values = Diagnostics(peer).next("swap")[2]
    assert "slow" not in values["serving"] and values["swaps"] == "0" and values["loading"] == "nothing"
    stream.stop()
    books(peer, stream)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_swap_beside_a_parameter_that_does_not_exist_is_refused(running, atomic: bool) -> None:
    node, peer, stream, folder = running
    stream.start().more(5)
    future = request(peer, atomic, model=str(write_stub_card(folder / "second")), no_such_thing=1)
    peer.wait(future.done)
    results = [future.result().result] if atomic else future.result().results
    assert not any(result.successful for result in results) and "no_such_thing" in results[0].reason
    stream.more(5)
    assert node.process.poll() is None and "second" not in peer.get(NODE, "model")


def test_an_edited_dump_swaps_and_a_change_that_is_never_possible_is_refused_before_the_load(running) -> None:
    """A file of `ros2 param dump` holds read-only parameters too, which rclpy refuses to set to what they are."""
    node, peer, _, folder = running
    as_it_is = {"autostart": True, "qos_overrides./image.subscription.depth": DEPTH}
    other = str(write_stub_card(folder / "other"))
    refused = request(peer, atomic=False, model=other, **{"qos_overrides./image.subscription.depth": DEPTH + 1})
    peer.wait(refused.done)
    assert "qos_overrides./image.subscription.depth is read-only" in refused.result().results[0].reason
    assert f"loading {other}" not in node.output()
    swapped = request(peer, atomic=False, model=other, **as_it_is)
    peer.wait(swapped.done)
    assert all(result.successful for result in swapped.result().results), swapped.result().results
    assert peer.get(NODE, "model") == other


def test_an_option_that_its_reader_fails_at_is_refused(running) -> None:
    """PyYAML raises no error of its own for a date that is none, nor for a value nested too deep."""
    node, peer, stream, _ = running
    stream.start().more(3)
    for value, reason in (("2026-13-45", "month must be"), ("[" * 5000, "recursion")):
        result = peer.set(NODE, backend_options=[f"delay={value}"])
        assert not result.successful and reason in result.reason
    stream.more(3)
    assert node.process.poll() is None


def test_a_refusal_at_once_is_in_the_diagnostics_too(running) -> None:
    _, peer, _, _ = running
    result = peer.set(NODE, backend="nobodys")
    assert not result.successful and "nobodys" in result.reason
    assert "nobodys" in Diagnostics(peer).next("swap")[1]


def test_a_load_that_hangs_is_refused_and_the_next_is_loaded(running) -> None:
    _, peer, stream, folder = running
    slow = write_stub_card(folder / "slow", load_delay=20.0)
    assert peer.set(NODE, load_timeout=1.0).successful
    stream.start().more(5)
    refused = peer.set(NODE, model=str(slow))
    assert not refused.successful and "not loaded within 1 s" in refused.reason
    assert Diagnostics(peer).next("model")[2]["abandoned threads"] == "1"
    assert peer.set(NODE, model=str(write_stub_card(folder / "second"))).successful
    stream.more(5)
    stream.stop()
    assert books(peer, stream)[2]["failed"] == 0


def test_other_services_are_answered_while_a_swap_loads(running) -> None:
    """The executor does not wait: what comes after the request is answered before it is."""
    _, peer, stream, folder = running
    second = write_stub_card(folder / "second", load_delay=2.0)
    stream.start().more(5)
    swap = request(peer, model=str(second))
    for _ in range(5):
        assert peer.get(NODE, "backend") == "stub"
        assert peer.set(NODE, max_rate=0.0).successful
        assert peer.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
    stream.more(5)
    assert not swap.done(), "the swap was to take longer than the other services"
    peer.wait(swap.done)
    assert swap.result().result.successful and peer.get(NODE, "model") == str(second)
    stream.stop()
    books(peer, stream)


def test_several_parameters_change_together_or_not_at_all(running) -> None:
    _, peer, _, folder = running
    second = write_stub_card(folder / "second")
    before = peer.get(NODE, "model")
    refused = peer.set(NODE, model=str(second), max_rate=-1.0)
    assert not refused.successful and "max_rate" in refused.reason
    assert peer.get(NODE, "model") == before
    assert peer.set(NODE, model=str(second), max_rate=12.0).successful
    assert (peer.get(NODE, "model"), peer.get(NODE, "max_rate")) == (str(second), 12.0)


def with_backup(folder: Path, **options: Any) -> Path:
    """A card whose backend `stub` has the options, and `stub/backup` has none."""
    return with_variants(folder, stub=options, backup={})


def with_variants(folder: Path, **variants: dict[str, Any]) -> Path:
    """A card with an artifact for `stub` and for each other variant, `stub/NAME`, with its options."""
    artifacts = {
        "stub" if name == "stub" else f"stub/{name}": {"options": options} for name, options in variants.items()
    }
    return edit_card(write_stub_card(folder), artifacts=artifacts)


def test_a_preloaded_backend_is_there_before_a_swap_and_one_that_fails_is_a_warning(tmp_path: Path) -> None:
    for module in ("onnxruntime", "ai_edge_litert"):
        pytest.importorskip(module, exc_type=ImportError)
    given = arguments(find_model("nanodet_g"), backend="onnx", preload_backends="[litert, stub]", device="cpu")
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        stream = Stream(peer).start()
        stream.more(5)
        assert "litert is preloaded" in node.output()
        assert "cannot preload" in node.output() and "in stub" in node.output()
        assert "ai_edge_litert" in Path(f"/proc/{node.process.pid}/maps").read_text(encoding="utf-8")
        assert peer.set(NODE, backend="litert").successful
        stream.more(5)
        stream.stop()
        assert books(peer, stream)[2]["failed"] == 0


def test_a_backend_that_stands_by_is_not_loaded_for_a_swap(tmp_path: Path) -> None:
    """A load takes longer than these swaps may."""
    load_delay = 4.0
    card = with_backup(tmp_path, load_delay=load_delay)
    given = arguments(card, backend="stub/backup", preload_backends="[stub, stub/backup]")
    with node_and_peer("camera_detector", given, tmp_path / "log") as (_, peer):
        stream = Stream(peer).start()
        stream.more(5)
        for _ in range(3):
            for backend in ("stub", "stub/backup"):
                began = time.monotonic()
                assert peer.set(NODE, backend=backend).successful
                assert time.monotonic() - began < load_delay
                stream.more(3)
        stream.stop()
        assert books(peer, stream)[2]["failed"] == 0


def test_a_failing_backend_is_left_and_tried_again(tmp_path: Path) -> None:
    card = with_backup(tmp_path, fail_every=5)
    given = arguments(card, fallback_backends="[stub/backup]", max_consecutive_failures=1, fallback_retry_after=1.0)
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        status = peer.listen(DiagnosticStatus, "backend_status", LATCHED)
        stream = Stream(peer).start()
        diagnostics = Diagnostics(peer)
        peer.wait(lambda: any("serving with 'stub/backup'" in s.message for s in status))
        assert peer.get(NODE, "backend") == "stub", "the parameter says what was asked for"
        peer.wait(lambda: "works again" in node.output())
        stream.stop()
        assert books(peer, stream)[2]["failed"] >= 1
        assert "swaps" in diagnostics.next("swap")[2]
        assert "falling back to 'stub/backup'" in node.output()


def serving(peer: Peer) -> str:
    return Diagnostics(peer).next("model")[2]["backend"]


def wait_until_it_serves(peer: Peer, backend: str) -> None:
    deadline = time.monotonic() + 20
    while serving(peer) != backend:
        assert time.monotonic() < deadline, f"{backend} does not serve"


def test_frames_that_fail_while_the_next_backend_loads_are_not_held_against_it(tmp_path: Path) -> None:
    card = with_variants(tmp_path, stub={"fail_every": 4}, second={"load_delay": 1.5}, third={})
    given = arguments(
        card, fallback_backends="[stub/second, stub/third]", max_consecutive_failures=1, fallback_retry_after=600.0
    )
    with node_and_peer("camera_detector", given, tmp_path / "log") as (_, peer):
        stream = Stream(peer).start()
        wait_until_it_serves(peer, "stub/second")
        stream.more(30)
        assert serving(peer) == "stub/second"
        stream.stop()
        books(peer, stream)


def test_a_fallback_that_cannot_be_loaded_is_passed_over_wherever_it_stands(tmp_path: Path) -> None:
    card = with_variants(tmp_path, stub={"fail_every": 5}, second={"fail_every": 5}, third={"fail_load": True}, last={})
    given = arguments(
        card,
        fallback_backends="[stub/second, stub/third, stub/last]",
        max_consecutive_failures=1,
        fallback_retry_after=600.0,
    )
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        stream = Stream(peer).start()
        wait_until_it_serves(peer, "stub/last")
        stream.stop()
        books(peer, stream)
        assert "'stub/third' fails (it cannot be loaded" in node.output()


def test_a_fallback_that_could_never_take_over_is_warned_of_at_once(tmp_path: Path) -> None:
    given = arguments(with_backup(tmp_path), fallback_backends="[stub/backup, stub/bakcup]")
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        peer.wait(lambda: "loaded in stub" in node.output())
        assert "fallback 'stub/bakcup' cannot take over" in node.output()
        assert "fallback 'stub/backup'" not in node.output()


def test_without_another_backend_one_that_hangs_is_loaded_anew(tmp_path: Path) -> None:
    given = arguments(with_backup(tmp_path, hang_at=6), inference_timeout=0.5, fallback_retry_after=1.0)
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        stream = Stream(peer).start()
        peer.wait(lambda: "works again" in node.output(), timeout=20)
        stream.stop()
        assert books(peer, stream)[2]["failed"] > 1, "one that is at a pass was given another"


def test_a_pass_that_hangs_is_abandoned_and_the_node_goes_on(tmp_path: Path) -> None:
    card = with_backup(tmp_path, hang_at=4)
    given = arguments(card, fallback_backends="[stub/backup]", inference_timeout=0.5, fallback_retry_after=600.0)
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        stream = Stream(peer).start()
        stream.more(20)
        deadline = time.monotonic() + 20
        while "stub/backup" not in Diagnostics(peer).next("swap")[2]["serving"]:
            assert time.monotonic() < deadline
        stream.more(10)
        stream.stop()
        counted = books(peer, stream)
        assert counted[2]["failed"] >= 1
        values = Diagnostics(peer).next("model")[2]
        assert values["abandoned threads"] == "1" and values["backend"] == "stub/backup"
        assert "did not return within 0.5 s" in node.output()
