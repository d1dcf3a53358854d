"""What kosearch promises, the tests that try to break each promise, and changes that do break it.

The one registry behind the table of `python -m tests.crash`. A test counts its attempts by the promise's name:
`tally.tried("kill")`. To add a promise, add an entry here, and a test that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TALLY = "KOSEARCH_TALLY"
"""The environment variable that names the file in which tests count."""


@dataclass(frozen=True, slots=True)
class Break:
    """A change of the program that breaks a promise on purpose."""

    test: str
    """The test that notices, as pytest takes it."""
    file: str
    """Below the folder kosearch/."""
    old: str
    """Stands in the file exactly once."""
    new: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the table."""

    tried: str
    """What is done to the program, in a few words."""
    tests: tuple[str, ...]
    """Files or tests, as pytest takes them."""
    breaks: Mapping[str, Break] = field(default_factory=dict)
    """What is done on purpose, in a few words → the change."""


_KILL = "tests/crash/test_kill.py"
_POWER = "tests/crash/test_power.py"
_DAMAGE = "tests/crash/test_damage.py"
_ROWS = "tests/test_index_damage.py::test_damaged_rows_are_noticed_and_given_up"
_SHARING = "tests/crash/test_sharing.py"
_FORMATS = "tests/test_index_formats.py"
_PRIVATE = "tests/hostile/test_private.py"
_FLOOD = "tests/hostile/test_flood.py"
_TERMINAL = "tests/hostile/test_terminal.py"
_MODELS = "tests/hostile/test_models_are_data.py"
_BOMBS = "tests/hostile/test_bombs.py"
_FUZZ = "tests/hostile/test_fuzz.py"

_SWEPT_FIRST = (
    "index/writer.py",
    "        _commit(tables, state, generation",
    "        files.sweep(directory, keep=generation)\n        _commit(tables, state, generation",
)

PROMISES: dict[str, Promise] = {
    "kill": Promise(
        "SIGKILL before, or in the middle of, a random operation on the index's files",
        (f"{_KILL}::test_killed_at_a_random_operation",),
        {
            "rows are committed one by one": Break(
                f"{_KILL}::test_killed_at_a_random_operation[200]",
                "index/database.py",
                "    if connection.in_transaction:\n        yield\n        return\n",
                "    yield\n    return\n",
            ),
            "what a killed run left is not swept": Break(
                f"{_KILL}::test_killed_at_a_random_operation[200]",
                "index/files.py",
                "            shutil.rmtree(path, ignore_errors=True)\n\n\ndef total_size",
                "            pass\n\n\ndef total_size",
            ),
        },
    ),
    "installed": Promise(
        "SIGKILL of the installed program, with its model and workers, at a random moment",
        ("tests/crash/test_installed.py",),
    ),
    "steps": Promise(
        "SIGKILL at every named step",
        (f"{_KILL}::test_killed_at_every_step",),
        {
            "old files are swept before the commit": Break(f"{_KILL}::test_killed_at_every_step[1]", *_SWEPT_FIRST),
        },
    ),
    "signals": Promise(
        "SIGINT and SIGTERM at every named step",
        (f"{_KILL}::test_interrupted_at_every_step",),
        {
            "SIGTERM is left to the system": Break(
                f"{_KILL}::test_interrupted_at_every_step[1-15]",
                "cli/__init__.py",
                "signal.signal(number, _terminate) for",
                "signal.getsignal(number) for",
            ),
            "an interrupted run publishes nothing": Break(
                f"{_KILL}::test_interrupted_at_every_step[1-2]",
                "indexing.py",
                "if isinstance(error, Exception) or self._publishing_took < PATIENCE:",
                "if isinstance(error, Exception):",
            ),
        },
    ),
    "disk": Promise(
        "a random operation fails: disk full (once, or from then on), input/output error; files may not grow",
        (f"{_KILL}::test_an_operation_that_fails", f"{_KILL}::test_files_may_not_grow", f"{_KILL}::test_a_small_disk"),
        {
            "what could not be committed counts as done": Break(
                f"{_KILL}::test_an_operation_that_fails[100-disk full]",
                "index/database.py",
                'connection.execute("ROLLBACK")\n        raise\n',
                'connection.execute("ROLLBACK")\n        return\n',
            ),
            "errors of the database go through": Break(
                f"{_KILL}::test_an_operation_that_fails[100-input/output error]",
                "index/database.py",
                "            sqlite3.SQLITE_IOERR,\n",
                "",
            ),
        },
    ),
    "clock": Promise(
        "the clock goes back an hour at every look, half of the runs killed",
        (f"{_KILL}::test_the_clock_goes_backwards",),
        {
            "only newer files are read": Break(
                f"{_KILL}::test_the_clock_goes_backwards[50]",
                "indexing.py",
                "if _look(known) != _look(source):",
                "if known.mtime_ns < source.mtime_ns or known.size != source.size:",
            ),
        },
    ),
    "power": Promise(
        "the power fails: any part of what had not reached the disk is lost",
        (_POWER,),
        {
            "derived files are not made durable": Break(
                f"{_POWER}::test_the_power_fails_during_a_run[300]",
                "index/files.py",
                "            _sync(Path(parent, name), 0o600)\n",
                "            pass\n",
            ),
            "nor are their folders": Break(
                f"{_POWER}::test_the_power_fails_during_a_run[300]",
                "index/files.py",
                "        sync_folder(Path(parent))\n",
                "",
            ),
            "commits are not made durable": Break(
                f"{_POWER}::test_the_power_fails_during_a_run[300]",
                "index/database.py",
                "PRAGMA synchronous = FULL",
                "PRAGMA synchronous = OFF",
            ),
        },
    ),
    "damage": Promise(
        "a byte flipped, a file cut, removed or sealed, a page of zeros",
        (_DAMAGE,),
        {
            "derived files are not hashed": Break(
                f"{_DAMAGE}::test_no_damage_goes_unnoticed[500]",
                "index/files.py",
                "measure(directory / name, entry.size) != entry:",
                "not (directory / name).exists():",
            ),
            "checksums of vectors, terms and texts are not tested": Break(
                _ROWS, "index/database.py", " or _crc(blob[_SEAL:], key) != blob[:_SEAL]:", ":"
            ),
            "checksums of documents are not tested": Break(
                _ROWS, "index/tables.py", "if row[-1] != checksum(*row[:-1]):", "if not row:"
            ),
        },
    ),
    "writers": Promise(
        "a second writer beside a first that works, stands still, is dead",
        tuple(
            f"{_SHARING}::test_{name}"
            for name in (
                "a_second_index_is_told_of_the_first",
                "a_second_index_waits_if_asked",
                "the_lock_of_a_dead_process_is_nobodys",
            )
        ),
        {
            "the lock is not taken": Break(
                f"{_SHARING}::test_a_second_index_is_told_of_the_first",
                "index/files.py",
                "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
                "            pass\n",
            ),
            "the note of a dead process is its lock": Break(
                f"{_SHARING}::test_the_lock_of_a_dead_process_is_nobodys",
                "index/files.py",
                "        while not _try_to_lock(descriptor):",
                "        while os.fstat(descriptor).st_size or not _try_to_lock(descriptor):",
            ),
        },
    ),
    "readers": Promise(
        "questions of 8 readers while a writer adds, changes and removes 5,000 documents",
        (f"{_SHARING}::test_readers_see_one_generation",),
        {
            "a generation is published row by row": Break(
                f"{_SHARING}::test_readers_see_one_generation[5000-20]",
                "index/writer.py",
                "    with transaction(connection):\n        counted =",
                "    for _ in range(1):\n        counted =",
            ),
        },
    ),
    "format": Promise(
        "migration killed before every statement",
        (_FORMATS,),
        {
            "statements committed one by one": Break(
                f"{_FORMATS}::test_a_migration_is_whole_or_was_not",
                "index/database.py",
                "    with transaction(connection):\n        for number in range",
                "    for _ in range(1):\n        for number in range",
            ),
            "a newer format is opened": Break(
                f"{_FORMATS}::test_a_newer_format_is_refused",
                "index/database.py",
                "\n    if version > VERSION:",
                "\n    if version < 0:",
            ),
            "terms by other rules are asked": Break(
                f"{_FORMATS}::test_other_rules_are_an_error_that_says_what_to_run",
                "opening.py",
                "if (identity.term_rules, identity.fields) != (rules_with(identity.words), FIELDS)",
                "if not (rules_with(()) and FIELDS)",
            ),
        },
    ),
    "private": Promise(
        "indexes, sockets and folders that others could use",
        (_PRIVATE, _FLOOD),
        {
            "the umask decides over files": Break(
                f"{_PRIVATE}::test_all_of_an_index_is_its_users_alone",
                "index/files.py",
                "    path.chmod(mode)\n",
                "",
            ),
            "the umask decides over folders": Break(
                f"{_PRIVATE}::test_missing_folders_are_made_private_and_others_left",
                "system.py",
                "one.mkdir(mode=0o700)",
                "one.mkdir()",
            ),
            "an index of somebody else is opened": Break(
                f"{_PRIVATE}::test_an_index_of_another_user_is_refused",
                "index/__init__.py",
                "if owner not in {os.geteuid(), 0} and",
                "if owner < 0 and",
            ),
            "everybody is served": Break(
                f"{_FLOOD}::test_it_serves_nobody_else",
                "resident/server.py",
                'protocol.peer_uid(writer.get_extra_info("socket")) != os.geteuid()',
                'protocol.peer_uid(writer.get_extra_info("socket")) < 0',
            ),
            "a folder that others can enter is used for sockets": Break(
                f"{_FLOOD}::test_a_place_that_is_not_ours_alone_is_not_used",
                "resident/protocol.py",
                " and not found.st_mode & 0o077",
                "",
            ),
        },
    ),
    "own-files": Promise(
        "settings and modules in the folder that is indexed",
        (f"{_PRIVATE}::test_a_folders_own_files_decide_nothing",),
        {
            "settings are read where the program runs": Break(
                f"{_PRIVATE}::test_a_folders_own_files_decide_nothing",
                "config.py",
                '_user_place("config") / "config.toml"',
                'Path("config.toml")',
            ),
        },
    ),
    "odd-files": Promise(
        "pipes, devices, sockets, sparse files, lines without end",
        (f"{_PRIVATE}::test_what_is_no_file_is_skipped_with_a_reason",),
        {
            "what the walk turns away is not told": Break(
                f"{_PRIVATE}::test_what_is_no_file_is_skipped_with_a_reason",
                "indexing.py",
                'self._refused.append(Processed(source, "", (), (problem,)))',
                "pass",
            ),
        },
    ),
    "flood": Promise(
        "connections and messages to the resident",
        (f"{_FLOOD}::test_it_lives_through_all_of_it_and_does_not_grow",),
        {
            "slow clients are waited for": Break(
                f"{_FLOOD}::test_it_lives_through_all_of_it_and_does_not_grow",
                "resident/server.py",
                "SENDING = 2.0",
                "SENDING = 600.0",
            ),
            "connections without number": Break(
                f"{_FLOOD}::test_it_lives_through_all_of_it_and_does_not_grow",
                "resident/server.py",
                "CONNECTIONS = 64",
                "CONNECTIONS = 10_000",
            ),
        },
    ),
    "terminal": Promise(
        "escapes, markup and marks through every command",
        (_TERMINAL,),
        {
            "control characters of a line pass": Break(
                f"{_TERMINAL}::test_on_a_terminal", "cli/render.py", "return text.translate(_LINE)", "return text"
            ),
            "names are shown in their own bytes": Break(
                f"{_TERMINAL}::test_on_a_terminal",
                "cli/output.py",
                "self.line(render.one_line(os.fsdecode(name)))",
                "self.line(os.fsdecode(name))",
            ),
            "markup of a text means something": Break(
                f"{_TERMINAL}::test_markup_means_nothing",
                "cli/render.py",
                "Text(text, style=style)",
                "Text.from_markup(text, style=style)",
            ),
            "JSON holds what a terminal understands": Break(
                f"{_TERMINAL}::test_json_holds_all_of_it_and_nothing_raw",
                "cli/render.py",
                "return text.translate(_ESCAPED)",
                "return text",
            ),
        },
    ),
    "models": Promise(
        "models with pickles and code, and what reaches for the network",
        (_MODELS,),
        {
            "a model's code is trusted": Break(
                f"{_MODELS}::test_code_for_a_known_architecture_is_not_run",
                "embedding/torch_encoder.py",
                "AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)",
                "AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=True)",
            ),
            "a pickled head is opened as it is": Break(
                f"{_MODELS}::test_of_a_pickled_head_only_tensors_are_read",
                "embedding/torch_embedder.py",
                "weights_only=True",
                "weights_only=False",
            ),
            "a need for code is no reason to refuse": Break(
                f"{_MODELS}::test_an_architecture_that_needs_code_is_refused",
                "embedding/hub.py",
                'if "auto_map" not in config or _in_transformers(str(config["model_type"])):',
                "if True:",
            ),
            "the client tells what is installed": Break(
                f"{_MODELS}::test_a_pull_that_is_cut_leaves_no_half_model_and_the_index_knows_the_commit",
                "embedding/hub.py",
                'os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"',
                'os.environ["HF_HUB_DISABLE_TELEMETRY"] = "0"',
            ),
            "a snapshot that lacks files is a model": Break(
                f"{_MODELS}::test_a_pull_that_is_cut_leaves_no_half_model_and_the_index_knows_the_commit",
                "embedding/hub.py",
                "return snapshot if snapshot and not missing(snapshot) else None",
                "return snapshot",
            ),
            "a name is fetched unasked": Break(
                f"{_MODELS}::test_nothing_tries_to_reach_the_network",
                "embedding/__init__.py",
                "hub.pull(hub_name) if pull else hub.cached(hub_name)",
                "hub.pull(hub_name)",
            ),
        },
    ),
    "bombs": Promise(
        "archives, entities and nesting that swell",
        (_BOMBS,),
        {
            "archives in archives are opened": Break(
                f"{_BOMBS}::test_an_archive_in_an_archive_is_not_opened",
                "extract/__init__.py",
                "archives and kind not in ARCHIVES",
                "archives",
            ),
            "comments before a page are read in every way": Break(
                f"{_BOMBS}::test_what_swells_ends_by_itself[comments.txt]",
                "extract/__init__.py",
                "<!--(?:(?!-->).)*-->",
                "<!--.*?-->",
            ),
            "a run of dots is looked at from each dot": Break(
                f"{_BOMBS}::test_a_line_without_end_is_cut_in_time",
                "passages.py",
                "(?<![.!?…‥])[.!?…‥]++",
                "[.!?…‥]+",
            ),
            "headers of any length": Break(
                f"{_BOMBS}::test_what_swells_ends_by_itself[words in a header.eml]",
                "extract/mail.py",
                "[:_LONGEST_HEADER]",
                "",
            ),
        },
    ),
    "fuzz": Promise(
        "random names, files, questions, settings and messages",
        (_FUZZ,),
        {
            "names that are not UTF-8 stay so": Break(
                f"{_FUZZ}::test_walking",
                "naming.py",
                'path_bytes.decode("utf-8", "replace"))',
                'path_bytes.decode("utf-8", "surrogateescape"))',
            ),
            "half letters stay in JSON": Break(
                f"{_FUZZ}::test_what_is_printed",
                "cli/render.py",
                '_ESCAPED |= dict.fromkeys(range(0xD800, 0xE000), "\\ufffd")\n',
                "",
            ),
        },
    ),
    "documents": Promise(
        "damaged documents, each in a worker",
        (f"{_FUZZ}::test_damaged_documents",),
        {
            "text stays as it was written": Break(
                f"{_FUZZ}::test_damaged_documents",
                "extract/text.py",
                'return unicodedata.normalize("NFC", _MANY_MARKS.sub(_in_parts, text))',
                "return text",
            ),
        },
    ),
    "soak": Promise(
        "documents changed, questions, answers held against a fresh index",
        ("tests/crash/test_soak.py",),
        {
            "old generations stay": Break(
                "tests/crash/test_soak.py::test_a_short_soak",
                "index/files.py",
                "            shutil.rmtree(path, ignore_errors=True)",
                "            pass",
            ),
        },
    ),
}
