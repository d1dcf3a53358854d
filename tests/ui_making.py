"""A folder of small documents of many kinds, hostile ones among them, and `kosearch ui` over an index of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from conftest import DATA, PROGRAM, Program

SCRIPT = "<script>window.broken=1</script><img src=x onerror=window.broken=1>"
LEAVE = "연차는 다음 해 3월 말까지 이월할 수 있다. 병가를 쓰려면 의사의 진단서를 낸다."


@dataclass(frozen=True)
class Server:
    """A page that is being served."""

    process: subprocess.Popen[str]
    url: str
    """With its token."""

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    @property
    def token(self) -> str:
        return urlsplit(self.url).fragment.removeprefix("t=")

    def client(self, **headers: str) -> httpx.Client:
        """One that has the token, and knows its headers."""
        given = {"x-kosearch-token": self.token} | headers
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=given, timeout=120, trust_env=False)

    def end(self) -> int:
        """As Ctrl-C does; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def served(program: Program, *arguments: str) -> Iterator[Server]:
    """The installed `kosearch ui`, until the block ends."""
    command = [PROGRAM, "ui", "--no-browser", *arguments]
    errors = program.home / "ui.stderr"
    with errors.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env=program.environment,
            cwd=program.home,
            start_new_session=True,
        )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, errors.read_text("utf-8")
        yield Server(process, url)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def make_documents(folder: Path) -> None:
    """Documents that the tests of the page ask for."""
    (folder / "규정").mkdir(parents=True)
    (folder / "규정" / "복무.md").write_text(
        f"# 복무 규정\n\n## 휴가\n\n{LEAVE}\n\n## 출장\n\n여비는 실비로 준다.\n", "utf-8"
    )
    (folder / "규정" / "복무 사본.md").write_text(
        f"# 복무 규정\n\n## 휴가\n\n{LEAVE}\n\n## 출장\n\n여비는 실비로 준다.\n", "utf-8"
    )
    (folder / f"{SCRIPT.replace('/', '⁄')}.txt").write_text(
        f"{SCRIPT}\n이 문서의 비밀번호 규칙은 스크립트다. {SCRIPT}\n", "utf-8"
    )
    (folder / "attack.html").write_text(
        f"<title>&lt;script&gt;window.broken=1&lt;/script&gt;</title><p>금고 열쇠 {SCRIPT.replace('<', '&lt;')}</p>",
        "utf-8",
    )
    rows = "\n".join(
        f"{name},{count}만" for name, count in (("서울", 940), ("부산", 330), ("대구", 237), ("인천", 300))
    )
    (folder / "인구.csv").write_text(f"도시,인구\n{rows}\n", "utf-8")
    (folder / "notes.txt").write_text(
        "The boundary layer is measured with a hot wire.\nNothing else is in this file.\n", "utf-8"
    )
    for name in ("two_pages.pdf", "report.docx", "invitation.eml", "plan.hwpx"):
        shutil.copy(DATA / "extract" / name, folder / name)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    os.utime(folder / "notes.txt", (1_400_000_000, 1_400_000_000))


def make_shelf(program: Program) -> Path:
    """The documents in the program's home, indexed."""
    folder = program.home / "문서"
    make_documents(folder)
    result = program.run("index", folder, timeout=600)
    assert result.returncode == 0, result.stderr
    return folder
