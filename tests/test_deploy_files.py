"""The files of deploy/ for containers, as far as they can be tested without any: read, compared, some of them run."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import require
from pages import DOCS, ROOT, fences
from programs import free_port
from redis_server import RedisServer

from pode_signals.command.config import Configuration
from pode_signals.command.options import Options

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
NODES = {name: each for name, each in SERVICES.items() if "NODE_NAME" in each.get("environment", {})}
HAPROXY = (DEPLOY / "haproxy" / "chat.cfg").read_text(encoding="utf-8")
# What the head of the file tells to make.
MADE = {"./chat.pem"}


def text_blocks() -> list[str]:
    """The plain blocks of docs/scaling.md."""
    return [each.text.strip() for each in fences(DOCS / "scaling.md", "text")]


def configuration(arguments: list[str]) -> Configuration:
    """What the command makes of arguments."""
    options = Options()
    options.parseOptions(arguments)
    return options.configuration()


def test_mounted_files() -> None:
    """S17.1: each file that compose.yaml mounts is there, HAProxy's too; what is missing is told in its head."""
    volumes = [each.split(":") for service in SERVICES.values() for each in service.get("volumes", [])]
    files = {source for source, *_ in volumes if source.startswith("./")}
    assert files == {"./haproxy/chat.cfg", "./redis/redis.conf", "./redis/users.acl", *MADE}
    assert all((DEPLOY / each).is_file() for each in files - MADE)
    assert all(mode == "ro" for source, _, *modes in volumes if source in files for mode in (modes or [""]))
    head = (DEPLOY / "compose.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
    assert all(each.removeprefix("./") in head for each in MADE)
    assert {source for source, *_ in volumes} - files == COMPOSE["volumes"].keys()


def test_nodes_and_their_proxy() -> None:
    """S17.1: the nodes of compose.yaml listen where HAProxy looks for them, for its Host, and trust it alone."""
    (host,) = re.findall(r"hdr Host (\S+)", HAPROXY)
    found = set()
    for node in NODES.values():
        assert node["network_mode"] == "service:haproxy"
        chosen = configuration(node["command"])
        assert chosen.settings["trusted_proxies"] == ("127.0.0.1",)
        assert [each.protocol for each in chosen.endpoints] == ["http", "ws"]
        assert {each.hostname for each in chosen.endpoints} == {host}
        found |= {f"{each.address}:{each.port}" for each in chosen.endpoints}
    assert found == set(re.findall(r"^    server \S+ (\S+)$", HAPROXY, re.MULTILINE))
    assert len(NODES) == 3


def test_what_containers_are_allowed() -> None:
    """S17.1: no container of compose.yaml has rights of the system, nor can it write to its image; each has time to
    stop, and Redis is on no network that leaves the machine.
    """
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
    assert all(int(each["stop_grace_period"].removesuffix("s")) > 30 for each in NODES.values())
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["haproxy"]


def test_the_image() -> None:
    """S17.1: the Dockerfile copies what there is, and what it runs is the command with an application of the image."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    sources = [word for words in copied for word in words.split()[:-1]]
    assert sources
    assert all((ROOT / each).exists() for each in sources)
    (entry,), (command,) = (re.findall(rf"^{word} (\[.+\])$", text, re.MULTILINE) for word in ("ENTRYPOINT", "CMD"))
    assert yaml.safe_load(entry) == ["twistd", "-n", "--pidfile=", "pode-signals"]
    app = configuration(yaml.safe_load(command)).app
    assert app is not None
    assert f"examples/{app.partition(':')[0]}.py" in sources
    assert {configuration(each["command"]).app for each in NODES.values()} == {app}


def test_redis_is_set_up_as_the_page_says() -> None:
    """S17.2: the settings and the rights of Redis in deploy/ are those of docs/scaling.md."""
    settings, rights = (
        next(each for each in text_blocks() if each.startswith(word)) for word in ("appendonly", "user pode")
    )
    config = (DEPLOY / "redis" / "redis.conf").read_text(encoding="utf-8").splitlines()
    assert set(settings.splitlines()) <= set(config)
    default, user = (DEPLOY / "redis" / "users.acl").read_text(encoding="utf-8").splitlines()
    assert default == "user default off"
    assert user.split() == rights.replace(">password", ">PASSWORD").split()


def test_redis_starts_with_these_files(tmp_path: Path) -> None:
    """S17.2: Redis starts by the command of compose.yaml and lets in the user of the nodes alone; its health check says
    that it runs.
    """
    require("redis")
    port = free_port()
    shell, option, script = SERVICES["redis"]["command"]
    for old, new in (("$$", "$"), ("/etc/redis", str(DEPLOY / "redis")), ("/run/redis", str(tmp_path))):
        script = script.replace(old, new)
    script = f"{script.replace('/data', str(tmp_path))} --port {port} --bind 127.0.0.1"
    environment = {"REDIS_PASSWORD": "5ec2e7", "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin"}
    running = subprocess.Popen([shell, option, script], env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        server = RedisServer("", tmp_path)
        server.port = port
        while not (answer := server.ask("PING")):
            assert running.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        assert answer.startswith(b"-NOAUTH")
        assert server.ask("AUTH", "pode", "PASSWORD").startswith(b"-WRONGPASS")
        assert server.ask("AUTH", "pode", "5ec2e7") == b"+OK\r\n"
        if shutil.which("redis-cli") is None:
            pytest.skip("redis-cli is not installed")
        check = (
            SERVICES["redis"]["healthcheck"]["test"][1].replace("$$", "$").replace("redis-cli", f"redis-cli -p {port}")
        )
        assert subprocess.run(["sh", "-c", check], env=environment, timeout=20, check=False).returncode == 0
    finally:
        running.terminate()
        running.wait(20)
