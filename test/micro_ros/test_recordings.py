"""The real client's side of every recording, played to our agent: it answers like the real one, byte for byte."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from xrce_recording import Packet, differences, load_recording, replay

from robot_ai.micro_ros.config import AgentSettings

# What the stock agent does not do and ours does only when asked to keep silent about it.
LIKE_THE_STOCK_AGENT = AgentSettings(answer_cancel=False, remove_after=0)

# The profiles that the recorded agent was started with, as far as the recorded client names them.
REFERENCES = {
    "participant_profile": "<dds><participant><rtps><name>xpeer_entities</name></rtps></participant></dds>",
    "xrce_ent__t": "<dds><topic><name>rt/xrce_ent</name><dataType>std_msgs::msg::dds_::Int32_</dataType></topic></dds>",
    **{
        f"xrce_ent__{short}": f"<dds><{tag}><topic><name>rt/xrce_ent</name></topic></{tag}></dds>"
        for short, tag in (("dw", "data_writer"), ("dr", "data_reader"))
    },
    **{
        f"xrce_ent_srv__{short}": f'<dds><{tag} service_name="/s" request_type="a" reply_type="b"/></dds>'
        for short, tag in (("rq", "requester"), ("rp", "replier"))
    },
}

# On which stream a scenario may differ: each is a freedom of docs/micro_ros_protocol.md.
DIFFERENT = {
    # The real agent sends what hangs the client; ours drops the sample and says so.
    "frag_a2c_too_big": "stream 80",
    # When the agent asks for a sign of life depends on the phase of its 200 ms clock.
    "hard_liveliness_ok": "stream 00",
    # The real agent sends two samples under the request that canceled their reading, and forgets the others.
    "delivery_control": "stream 00",
}


@pytest.fixture(scope="session")
def vectors(shared_data) -> Path:
    place = shared_data / "xrce/vectors"
    if not place.is_dir():
        pytest.skip(f"no recordings in {place}")
    return place


def names(vectors: Path, *, alone: bool) -> list[str]:
    index = json.loads((vectors / "index.json").read_text())
    return [entry["file"] for entry in index if entry["replayable_alone"] == alone]


def compare(path: Path, settings: AgentSettings, *, scripted: bool) -> list[str]:
    return list(differences(*replay(load_recording(path), settings, scripted=scripted)))


def test_recordings_that_need_no_ros_are_answered_like_the_real_agent_did(vectors):
    files = names(vectors, alone=True)
    assert len(files) >= 40
    wrong = {file: found for file in files if (found := compare(vectors / file, AgentSettings(), scripted=False))}
    assert not wrong


def test_recordings_with_ros_are_answered_like_the_real_agent_did(vectors):
    wrong = {}
    files = names(vectors, alone=False)
    assert len(files) >= 70
    for file in files:
        scenario = file.removesuffix(".json").split("_", 1)[1]
        settings = dataclasses.replace(LIKE_THE_STOCK_AGENT, references=REFERENCES)
        if scenario in ("frag_a2c_8k", "loss_fragment_a2c"):
            settings = dataclasses.replace(settings, input_history=32)
        # There the client reads what it writes itself.
        found = compare(vectors / file, settings, scripted=scenario != "delivery_control")
        allowed = DIFFERENT.get(scenario)
        if bool(found) != bool(allowed) or (allowed and any(allowed not in difference for difference in found)):
            wrong[file] = found
    assert not wrong


def test_a_wrong_answer_would_be_seen(vectors):
    packets = load_recording(vectors / "udp_pub_reliable.json")
    answer = next(i for i, packet in enumerate(packets) if not packet.from_client and packet.data[1] & 0x80)
    changed = bytearray(packets[answer].data)
    changed[-1] ^= 1
    packets[answer] = Packet(False, packets[answer].connection, packets[answer].time, bytes(changed), 1)
    assert list(differences(*replay(packets, AgentSettings(), scripted=False)))
