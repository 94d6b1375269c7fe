"""The decoder of a network: the user's, or the only one that reads its outputs."""

from __future__ import annotations

from dataclasses import replace

from robot_ai.model_tool.importing.errors import DecoderGuessError
from robot_ai.model_tool.importing.matchers import EXPECTATIONS, MATCHERS
from robot_ai.model_tool.importing.network import Match, Network

ALIASES = {"yolo11": "yolov8"}


def guess_decoder(network: Network, chosen: str | None) -> Match:
    """The match of the chosen decoder, or of the only one that fits.

    Raises DecoderGuessError, which shows the model's outputs beside what the decoders expect.
    """
    if not network.outputs:
        raise DecoderGuessError("the model has no outputs; expected those of a detector or classifier. Export it again")
    if chosen is not None:
        return _match_chosen(network, chosen)
    matches = [match for matcher in MATCHERS.values() if (match := matcher(network)) is not None]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise DecoderGuessError(
            f"no decoder reads these outputs{_labels(network)}.\n{_outputs(network)}\n{_expectations(list(MATCHERS))}\n"
            "Choose one with --decoder, name the outputs with --tensor NAME=OUTPUT, correct --labels, or export the "
            "model in one of these forms"
        )
    listed = "\n".join(f"  {match.decoder}: {match.reason}" for match in matches)
    raise DecoderGuessError(
        f"several decoders could read these outputs{_labels(network)}:\n{listed}\n{_outputs(network)}\n"
        f"{_expectations([match.decoder for match in matches])}\nChoose one with --decoder, or give --labels, whose "
        "number may decide"
    )


def _match_chosen(network: Network, chosen: str) -> Match:
    name = ALIASES.get(chosen, chosen)
    if name not in MATCHERS:
        raise DecoderGuessError(f"no decoder is named '{chosen}'; expected one of {', '.join([*MATCHERS, *ALIASES])}")
    match = MATCHERS[name](replace(network, told=True))
    if match is None:
        raise DecoderGuessError(
            f"the outputs do not fit decoder '{chosen}'{_labels(network)}.\n{_outputs(network)}\n"
            f"{_expectations([name])}\nChoose another decoder, name the outputs with --tensor NAME=OUTPUT, or correct "
            "--labels and --size"
        )
    return replace(match, decoder=chosen, reason=f"as told; {match.reason}")


def _labels(network: Network) -> str:
    known = "no labels" if network.classes is None else f"{network.classes} labels"
    return f" for an input of {network.width}x{network.height} and {known}"


def _outputs(network: Network) -> str:
    listed = "The model gives:\n" + "\n".join(f"  {tensor}" for tensor in network.outputs)
    if any(None in tensor.shape[1:] for tensor in network.outputs):
        listed += (
            '\n"any" behind the batch is a length that depends on the picture: export it with a fixed number of rows'
        )
    return listed


def _expectations(names: list[str]) -> str:
    return "The decoders read:\n" + "\n".join(f"  {name}: {EXPECTATIONS[name]}" for name in names)
