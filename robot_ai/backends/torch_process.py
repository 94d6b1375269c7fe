"""What PyTorch keeps for ever of each `torch.export` program that was loaded in this process, dropped again."""

from __future__ import annotations

import importlib
import linecache

# The name under which torch.fx compiles a graph's Python source.
_SOURCE = "<eval_with_key>"


def forget_programs() -> None:
    """Drops the sources of graphs, which serve tracebacks only, and the caches of shape inference.

    The latter are on methods: each entry keeps what the shapes of one program are reasoned with, 22 KiB at least.

    Programs that are loaded go on working; what they still need is made anew. PyTorch 2.13 offers no other way.
    """
    graph_module = importlib.import_module("torch.fx.graph_module")
    fake_tensor = importlib.import_module("torch._subclasses.fake_tensor")
    shapes = importlib.import_module("torch.fx.experimental.symbolic_shapes")
    for name in [name for name in linecache.cache if name.startswith(_SOURCE)]:
        linecache.cache.pop(name, None)
    graph_module._loader.eval_cache.clear()
    fake_tensor.FakeTensorMode.cache_clear()
    for method in vars(shapes.ShapeEnv).values():
        if hasattr(method, "cache_clear"):
            method.cache_clear()
