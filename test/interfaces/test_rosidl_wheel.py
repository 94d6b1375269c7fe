"""The builder of interface wheels: what it reads, what it refuses, what it writes."""

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

INTERFACES = Path(__file__).resolve().parents[2] / "interfaces"


@pytest.fixture(scope="module")
def builder():
    sys.path.insert(0, str(INTERFACES))
    try:
        import rosidl_wheel
        import rosidl_wheel.errors
    finally:
        sys.path.remove(str(INTERFACES))
    return rosidl_wheel


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of vision_msgs as the working directory, as pip has it."""
    copy = tmp_path / "vision_msgs"
    shutil.copytree(INTERFACES / "vision_msgs", copy)
    monkeypatch.chdir(copy)
    return copy


def test_requirements_are_pinned_to_jazzy(builder, package):
    requirements = builder.get_requires_for_build_wheel()
    assert "ros-std-msgs~=5.3.6" in requirements
    assert "ros-geometry-msgs~=5.3.6" in requirements
    assert all(re.fullmatch(r"ros-[a-z-]+~=\d+\.\d+\.\d+", each) for each in requirements if each.startswith("ros-"))


def test_services_and_actions_bring_the_packages_that_rosidl_adds(builder, package):
    (package / "srv").mkdir()
    (package / "srv" / "Ask.srv").write_text("---\n", encoding="utf-8")
    assert builder.manifest.read(package).dependencies == ("std_msgs", "geometry_msgs", "service_msgs")


def test_metadata_needs_no_compiler(builder, package, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    folder = builder.prepare_metadata_for_build_wheel(str(tmp_path / "metadata"))
    text = (tmp_path / "metadata" / folder / "METADATA").read_text(encoding="utf-8")
    assert "Requires-Dist: ros-std-msgs~=5.3.6\n" in text
    wheel = (tmp_path / "metadata" / folder / "WHEEL").read_text(encoding="utf-8")
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert f"Tag: {python}-{python}-linux_x86_64\n" in wheel


@pytest.mark.parametrize("variable", ["CC", "CXX"])
def test_missing_compiler_names_the_debian_package(builder, package, monkeypatch, variable):
    monkeypatch.setenv(variable, "no-such-compiler")
    with pytest.raises(builder.errors.MissingCompilerError, match=r"no-such-compiler.*apt install build-essential"):
        builder.get_requires_for_build_wheel()
    with pytest.raises(builder.errors.MissingCompilerError):
        builder.build_wheel(".")


def test_missing_python_headers_name_the_debian_package(builder, package, monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path / "nowhere")})
    with pytest.raises(builder.errors.MissingPythonHeadersError, match=r"Python\.h.*apt install python3-dev"):
        builder.get_requires_for_build_wheel()


def test_unpinned_dependency_is_named(builder, package):
    manifest = package / "package.xml"
    text = manifest.read_text(encoding="utf-8").replace("<depend>std_msgs", "<depend>other_msgs")
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(builder.errors.UnpinnedDependencyError, match=r"other_msgs.*pins\.py"):
        builder.get_requires_for_build_wheel()


@pytest.mark.parametrize(
    ("text", "match"),
    [("<package", "unreadable"), ("<package><name>vision_msgs</name></package>", "no <version>")],
)
def test_broken_manifest_is_explained(builder, package, text, match):
    (package / "package.xml").write_text(text, encoding="utf-8")
    with pytest.raises(builder.errors.ManifestError, match=match):
        builder.manifest.read(package)


def test_package_without_interfaces_is_refused(builder, package):
    shutil.rmtree(package / "msg")
    with pytest.raises(builder.errors.ManifestError, match="no interface files"):
        builder.manifest.read(package)


def test_refused_code_shows_the_compilers_words(builder, tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int main( { return 0; }\n", encoding="utf-8")
    toolchain = builder.toolchain.Toolchain.find()
    with pytest.raises(builder.errors.CompilationError, match=r"broken\.c"):
        toolchain.library([source], tmp_path / "libbroken.so", tmp_path / "build", [])


def test_source_distribution_carries_the_builder(builder, package, tmp_path):
    name = builder.build_sdist(str(tmp_path))
    with tarfile.open(tmp_path / name) as tar:
        names = set(tar.getnames())
    assert {f"vision_msgs-4.1.1/{file}" for file in ("PKG-INFO", "pyproject.toml", "rosidl_wheel/__init__.py")} <= names


def test_wheel_is_an_ament_package(builder, package, tmp_path):
    pytest.importorskip("rosidl_generator_py")
    # One message is enough to see the layout, and compiles in a fraction of the time.
    for file in (package / "msg").glob("*.msg"):
        if file.stem != "Point2D":
            file.unlink()
    name = builder.build_wheel(str(tmp_path))
    data = "vision_msgs-4.1.1.data/data"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = set(wheel.namelist())
        listed = wheel.read(f"{data}/share/ament_index/resource_index/rosidl_interfaces/vision_msgs").decode()
        record = wheel.read("vision_msgs-4.1.1.dist-info/RECORD").decode()
    assert listed.split() == ["msg/Point2D.idl", "msg/Point2D.msg"]
    kinds = ("generator_c", "generator_py", "typesupport_c", "typesupport_fastrtps_c", "typesupport_introspection_c")
    assert {f"{data}/lib/libvision_msgs__rosidl_{kind}.so" for kind in kinds} <= names
    assert {f"{data}/share/vision_msgs/{file}" for file in ("package.xml", "msg/Point2D.json")} <= names
    assert {"vision_msgs/__init__.py", "vision_msgs/msg/__init__.py", "vision_msgs/msg/_point2_d.py"} <= names
    assert f"{data}/share/ament_index/resource_index/packages/vision_msgs" in names
    assert len(record.splitlines()) == len(names)
