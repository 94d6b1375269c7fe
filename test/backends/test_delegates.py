"""LiteRT's external delegates: real libraries, compiled here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tiny_model import expected, images, write_tiny_card

from robot_ai.backends.errors import ArtifactLoadError, DeviceError
from robot_ai.backends.loading import BackendChoice, load_backend

pytest.importorskip("ai_edge_litert", exc_type=ImportError)
pytest.importorskip("tensorflow", exc_type=ImportError)
COMPILER = shutil.which("gcc") or shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: sudo apt install gcc")

# TfLiteDelegate of tensorflow/lite/core/c/common.h; the plugin's two functions of external_delegate_interface.h.
DELEGATE = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Delegate {
  void *data;
  int (*prepare)(void *context, struct Delegate *self);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *builder;
} Delegate;

static char note[4096];

static void say(const char *what) {
  FILE *file = fopen(note, "a");
  if (file) {
    fprintf(file, "%s\n", what);
    fclose(file);
  }
}

static int prepare(void *context, Delegate *self) {
  say("prepared");
  return 0; /* takes none of the graph's operations */
}

/* 1: the graph may have tensors whose sizes are not fixed, as those of a free batch. */
static Delegate only = {0, prepare, 0, 0, 0, FLAGS};

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; ++i) {
    if (!strcmp(keys[i], "note")) strncpy(note, values[i], sizeof note - 1);
    if (!strcmp(keys[i], "device") && strcmp(values[i], "here")) {
      report("no accelerator is plugged in");
      return 0;
    }
  }
  say("created");
  return &only;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { say("destroyed"); }
"""


def compiled(folder: Path, source: str, *, dynamic: bool = True) -> Path:
    assert COMPILER is not None
    folder.mkdir()
    (folder / "delegate.c").write_text(source, encoding="utf-8")
    library = folder / "libdelegate.so"
    flags = [f"-DFLAGS={int(dynamic)}"]
    subprocess.run([COMPILER, "-shared", "-fPIC", *flags, "-o", library, folder / "delegate.c"], check=True, timeout=60)
    return library


def test_a_delegate_is_loaded_with_its_options_and_given_the_graph(tmp_path: Path) -> None:
    library, note = compiled(tmp_path / "lib", DELEGATE), tmp_path / "note"
    card = write_tiny_card(tmp_path / "card", ["litert"])
    given = (f"delegate={library}", f"delegate_options={{note: {note}, device: here}}")
    _, backend = load_backend(BackendChoice(str(card), "litert", "cpu", threads=1, options=given))
    assert backend.device == "libdelegate.so"
    assert note.read_text() == "created\nprepared\n"
    found = backend.infer({"image": images(2, "NHWC")})
    np.testing.assert_allclose(found["boxes"], expected(images(2))["boxes"], atol=1e-4)
    backend.close()
    assert note.read_text() == "created\nprepared\ndestroyed\n"


def test_a_graph_that_the_delegate_cannot_take_is_an_error_that_names_both(tmp_path: Path) -> None:
    library = compiled(tmp_path / "lib", DELEGATE, dynamic=False)
    card = write_tiny_card(tmp_path / "card", ["litert"])
    options = (f"delegate={library}", "delegate_options={device: here}")
    with pytest.raises(ArtifactLoadError, match=r"tiny_float32.tflite cannot be loaded by LiteRT on libdelegate.so: "):
        load_backend(BackendChoice(str(card), "litert", "cpu", threads=1, options=options))


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        (DELEGATE, "{device: elsewhere}", "no accelerator is plugged in"),
        ("int unrelated(void) { return 0; }", "{}", "tflite_plugin_create_delegate"),
        ("extern int missing(void); int use(void) { return missing(); }", "{}", "missing"),
    ],
    ids=["it refuses", "it is none", "it cannot be linked"],
)
def test_a_delegate_that_does_not_load_says_why(tmp_path: Path, source: str, options: str, reason: str) -> None:
    library = compiled(tmp_path / "lib", source)
    card = write_tiny_card(tmp_path / "card", ["litert"])
    given = (f"delegate={library}", f"delegate_options={options}")
    with pytest.raises(DeviceError, match=rf"delegate {library} cannot be loaded: .*{reason}.*Install it"):
        load_backend(BackendChoice(str(card), "litert", "cpu", threads=1, options=given))
