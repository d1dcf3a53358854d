"""Where settings come from, which are refused, and where things lie."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.config import Settings, index_directory, index_names, load, project_index
from kosearch.errors import ConfigError, UsageError
from kosearch.index import database

NAMES = [field.name for field in fields(Settings) if not field.name.endswith(("_dir", "_file"))]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refusal(flags: dict[str, object], environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ)
    assert caught.value.exit_code == 2
    return caught.value.message


class TestWhereSettingsComeFrom:
    def test_the_defaults(self) -> None:
        settings = load({}, {})
        assert {name: getattr(settings, name) for name in NAMES} == {
            "index": "default",
            "model": None,
            "device": "auto",
            "passage_tokens": None,
            "passage_overlap": 32,
            "max_file_size": 64 * 1024 * 1024,
            "endpoint": None,
            "query_prompt": "",
            "passage_prompt": "",
            "dimensions": None,
            "storage": "float16",
            "ann": "auto",
            "mode": "hybrid",
            "weight": 0.5,
            "k": 10,
            "workers": None,
            "timeout": 60.0,
            "refresh": None,
            "ocr": "auto",
            "log": False,
            "resident": True,
            "resident_idle": 900.0,
            "viewers": (),
        }

    def test_flag_before_environment_before_file_before_default(self, settings_file: Path) -> None:
        settings_file.write_text('index = "file"\nmodel = "file"\nk = 3\n')
        environ = {"KOSEARCH_CONFIG": str(settings_file), "KOSEARCH_INDEX": "variable", "KOSEARCH_MODEL": "variable"}
        settings = load({"index": "flag", "model": None}, environ)
        assert (settings.index, settings.model, settings.k, settings.mode) == ("flag", "variable", 3, "hybrid")
        assert settings.config_file == settings_file

    def test_an_empty_variable_is_none(self) -> None:
        assert load({}, {"KOSEARCH_K": "", "KOSEARCH_CONFIG": "", "KOSEARCH_DATA_DIR": ""}) == load({}, {})

    def test_auto_takes_back_what_the_file_says(self, settings_file: Path) -> None:
        settings_file.write_text('model = "file"\npassage_tokens = 100\nworkers = 3\n')
        environ = {"KOSEARCH_CONFIG": str(settings_file), "KOSEARCH_WORKERS": "auto"}
        settings = load({"model": "auto", "passage_tokens": "auto"}, environ)
        assert (settings.model, settings.passage_tokens, settings.workers) == (None, None, None)

    @pytest.mark.parametrize("name", NAMES)
    def test_every_setting_can_be_given_everywhere(self, name: str, settings_file: Path) -> None:
        values = {"index": "a", "model": "a", "device": "cpu", "mode": "dense", "weight": "0.25", "resident": "off"}
        values |= {"endpoint": "http://localhost:8000/v1", "storage": "int8", "ann": "hnsw", "ocr": "force"}
        values |= {"viewers": "pdf=zathura -P {page} {path}", "log": "on"}
        text = values.get(name, "40")
        settings_file.write_text(f'{name} = "{text}"\n')
        by_file = load({}, {"KOSEARCH_CONFIG": str(settings_file)})
        by_variable = load({}, {f"KOSEARCH_{name.upper()}": text})
        by_flag = load({name: text}, {})
        assert (
            getattr(by_file, name)
            == getattr(by_variable, name)
            == getattr(by_flag, name)
            != getattr(load({}, {}), name)
        )

    @pytest.mark.parametrize("device", ["auto", "mps", "cuda", "cuda:1", "cuda:0,cuda:1,cuda:10"])
    def test_devices(self, device: str) -> None:
        assert load({"device": device}, {}).device == device

    def test_the_users_own_file_is_found_and_a_folders_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = load({}, {}).config_file
        assert tmp_path in place.parents
        place.parent.mkdir(parents=True)
        place.write_text("k = 7\n")
        for name in ("config.toml", "kosearch.toml", ".kosearch.toml", "pyproject.toml"):
            (tmp_path / name).write_text("k = 8\n[tool.kosearch]\nk = 8\n")
        monkeypatch.chdir(tmp_path)
        assert load({}, {}).k == 7

    def test_the_process_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KOSEARCH_K", "4")
        assert load({}).k == 4

    def test_other_variables_of_ours_are_no_settings(self) -> None:
        assert load({}, {"KOSEARCH_DEBUG": "1", "KOSEARCH_K_": "x"}) == load({}, {})


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("index", [" "]),
            ("model", [" ", 5]),
            (
                "endpoint",
                ["localhost:8000", "ftp://host", "http://key@host/v1", "http://host/v1?key=1", "http:///v1", 8000],
            ),
            ("query_prompt", [1, ["query: "]]),
            ("dimensions", [0, "few", 1.5]),
            ("device", ["gpu", "cuda:", "cuda:0,cpu", "cuda,cuda", "cuda:0,", "CPU", 1]),
            ("passage_tokens", [15, 32769, "many", 100.5, True, "1e2"]),
            ("passage_overlap", [-1, "few", 1.5]),
            ("max_file_size", ["0", "10X", "M", "-1", "1 000", "2T", 0, 1.5, True]),
            ("ann", ["ivf", "HNSW", "", True]),
            ("mode", ["semantic", "", ["dense"]]),
            ("weight", [-0.1, 1.1, "half", float("nan"), True]),
            ("k", [0, -1, 1_000_001, "ten", True, [1]]),
            ("workers", [0, 257, "all"]),
            ("timeout", [0, "inf", "60s", -1]),
        ],
    )
    def test_values_that_make_no_sense(self, name: str, values: list[object]) -> None:
        for value in values:
            message = refusal({name: value}, {})
            assert message.startswith("-k is" if name == "k" else f"--{name.replace('_', '-')} is")
            assert repr(value) in message
            assert "it must be" in message

    def test_the_message_names_the_variable(self) -> None:
        assert "KOSEARCH_MAX_FILE_SIZE" in refusal({}, {"KOSEARCH_MAX_FILE_SIZE": "big"})

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("k = 0\n", "`k`"),
            ("kk = 1\n", "no such setting"),
            ("[k]\na = 1\n", "`k`"),
            ("k = \n", "TOML"),
            ("k = 1\nk = 2\n", "TOML"),
            ("mode = ['dense']\n", "`mode`"),
        ],
    )
    def test_the_message_names_the_file(self, settings_file: Path, text: str, wanted: str) -> None:
        settings_file.write_text(text)
        message = refusal({}, {"KOSEARCH_CONFIG": str(settings_file)})
        assert str(settings_file) in message
        assert wanted in message

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "latin.toml").write_bytes(b'index = "\xff"\n')
        for name, wanted in [("none.toml", "not there"), (".", "cannot be read"), ("latin.toml", "TOML")]:
            message = refusal({}, {"KOSEARCH_CONFIG": str(tmp_path / name)})
            assert wanted in message
            assert str(tmp_path) in message

    def test_an_unknown_name_comes_with_the_known_ones(self, settings_file: Path) -> None:
        settings_file.write_text("kk = 1\n")
        with pytest.raises(ConfigError) as caught:
            load({}, {"KOSEARCH_CONFIG": str(settings_file)})
        assert all(name in caught.value.hint for name in NAMES)

    def test_an_overlap_as_long_as_the_passage(self) -> None:
        assert "overlap" in refusal({"passage_tokens": 32, "passage_overlap": 32}, {})
        assert load({"passage_tokens": 33, "passage_overlap": 32}, {}).passage_overlap == 32


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            (1000, 1000),
            ("1000", 1000),
            ("1k", 1024),
            ("10M", 10 * 1024**2),
            ("10 MB", 10 * 1024**2),
            ("10mib", 10 * 1024**2),
            ("1.5G", 1536 * 1024**2),
            ("1T", 1024**4),
            (" 7 ", 7),
        ],
    )
    def test_sizes_may_have_units(self, text: object, size: int) -> None:
        assert load({"max_file_size": text}, {}).max_file_size == size

    @given(st.integers(1, 1024**4))
    def test_whole_numbers_stay_what_they_are(self, size: int) -> None:
        assert load({"max_file_size": str(size)}, {}).max_file_size == size


class TestPlaces:
    def test_directories_are_the_users_unless_variables_say_otherwise(self, tmp_path: Path) -> None:
        settings = load({}, {})
        assert settings.data_dir == tmp_path / ".local/share/kosearch"
        environ = {"KOSEARCH_DATA_DIR": "/data", "KOSEARCH_CACHE_DIR": "~/cache"}
        assert load({}, environ).data_dir == Path("/data")
        assert load({}, environ).cache_dir == tmp_path / "cache"

    def test_a_relative_directory_is_made_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert load({}, {"KOSEARCH_DATA_DIR": "data"}).data_dir == tmp_path / "data"

    def test_an_index_is_named_or_is_a_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".mine").mkdir()
        (tmp_path / "notes").mkdir()
        settings = load({}, {})
        named = settings.data_dir / "indexes"
        assert index_directory("notes", settings) == named / "notes"
        assert index_directory("내 노트", settings) == named / "내 노트"
        assert index_directory(unicodedata.normalize("NFD", "노트"), settings) == named / "노트"
        assert index_directory("./notes", settings) == tmp_path / "notes"
        assert index_directory("new/index", settings) == tmp_path / "new/index"
        assert index_directory(str(tmp_path), settings) == tmp_path
        assert index_directory(".mine", settings) == tmp_path / ".mine"
        assert index_directory(".", settings) == tmp_path
        assert index_directory("~/index", settings) == tmp_path / "index"

    @pytest.mark.parametrize(
        "name", ["", " ", ".new", "-x", "~", "a\nb", "a\0b", "a/\0", "\x1b[31m", "a\N{RIGHT-TO-LEFT MARK}"]
    )
    def test_names_that_no_index_can_have(self, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            index_directory(name, load({}, {}))
        assert caught.value.hint

    @given(st.text(max_size=20))
    def test_a_name_never_leads_out_of_the_users_data_unless_it_is_a_path(self, name: str) -> None:
        settings = load({}, {"KOSEARCH_DATA_DIR": "/data"})
        try:
            directory = index_directory(name, settings)
        except UsageError:
            return
        if "/" not in name and not name.startswith("."):
            assert directory.parent == Path("/data/indexes")
            assert os.fspath(directory) == os.path.normpath(directory)

    def test_index_names_are_the_directories_there(self, tmp_path: Path) -> None:
        settings = load({}, {"KOSEARCH_DATA_DIR": str(tmp_path)})
        assert index_names(settings) == []
        for name in ("b", "a"):
            (tmp_path / "indexes" / name).mkdir(parents=True)
        (tmp_path / "indexes/file").touch()
        assert index_names(settings) == ["a", "b"]


def test_a_projects_index_that_somebody_else_planted_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may write to a folder above, such as /tmp, decides nothing."""
    (tmp_path / "project/sub").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "project"):
        (place / ".kosearch").mkdir()
        (place / ".kosearch" / database.NAME).touch()
    (tmp_path / "project/sub/.kosearch").mkdir()  # holds no index
    assert project_index(str(tmp_path / "project/sub")) == str(tmp_path / "project/.kosearch")
    if os.geteuid() == 0:
        os.chown(tmp_path / "project/.kosearch", 12345, 12345)
        assert project_index(str(tmp_path / "project/sub")) == str(tmp_path / ".kosearch")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert project_index(str(tmp_path / "project/sub")) is None
