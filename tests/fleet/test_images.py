# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images come to real engines whole or not at all: Docker, and containerd by ctr, from a registry behind a double."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import playbook_run
from tests.doubles import token_registry
from tests.doubles.authority import certificates
from tests.doubles.token_registry import Running, Trouble
from tests.fleet.conftest import COLLECTIONS, Ground, docker
from tests.fleet.image_bench import Bench, image, made, save
from tests.simfleet import images, oci
from tests.simfleet.fleet import Fleet

pytestmark = pytest.mark.fleet

ENGINES = ("docker", "containerd")
PEER_PORT = 5005
LOGIN = {"region@AK": "derived-key"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def front(servers: Fleet) -> Iterator[Running]:
    """The fleet's registry behind a door that can be locked, narrow or broken; the servers' engines trust it."""
    gateway = str(servers.subnet[1])
    with token_registry.running(servers.registry_address, host="0.0.0.0") as found:
        peer = f"{servers.node('n1').address}:{PEER_PORT}"
        trusted = json.dumps([servers.registry_address, found.address(gateway), peer])
        edit = (
            "import json; p='/etc/docker/daemon.json'; d=json.load(open(p)); "
            f"d['insecure-registries']={trusted}; json.dump(d, open(p, 'w'))"
        )
        for node in servers.nodes:
            node.exec("python3", "-c", edit)
            node.exec("systemctl", "reload", "docker")
        yield found


@pytest.fixture
def door(front: Running) -> Iterator[Running]:
    """The door without any trouble."""
    state = front.state
    state.auth, state.logins, state.token_seconds, state.prefix = None, dict(LOGIN), 300, ""
    state.trouble = Trouble()
    state.expired = 0
    state.asked.clear()
    state.sent.clear()
    yield front
    state.trouble.go.set()
    state.trouble = Trouble()
    state.auth = None


@pytest.fixture(scope="module")
def first(servers: Fleet) -> Bench:
    node = servers.node("n1")
    # Layers of containerd cannot lie upon those of the machine's engine.
    node.exec("sh", "-c", "mkdir -p /var/lib/docker/c && mount --bind /var/lib/docker/c /var/lib/containerd")
    node.exec("systemctl", "restart", "containerd", "docker")
    node.wait_ready()
    return Bench(node)


@pytest.fixture
def bench(first: Bench) -> Bench:
    first.clear()
    return first


class Shop:
    """Images in the fleet's registry, by the address of the door."""

    def __init__(self, fleet: Fleet, door: Running, folder: Path) -> None:
        self.fleet, self.door, self.folder = fleet, door, folder
        self.address = door.address(str(fleet.subnet[1]))

    def push(self, name: str, seed: str, tag: str = "1", layers: int = 3, size: int = 1 << 20) -> str:
        made_image = made(self.folder, seed, layers, size)
        return oci.push(made_image, self.fleet.registry_address, name, tag)

    def ref(self, name: str, tag: str = "1") -> str:
        return f"{self.address}/{name}:{tag}"

    def row(self, **keys: Any) -> dict[str, Any]:
        return {"address": self.address, "insecure": True, "mirror": None, "login": None, "ca": None, **keys}


@pytest.fixture
def shop(servers: Fleet, door: Running, folder: Path) -> Shop:
    return Shop(servers, door, folder)


@contextlib.contextmanager
def half_way(shop: Shop, size: int) -> Iterator[None]:
    """The registry stops in the middle, after so many bytes of each layer, until what is done meanwhile is done."""
    shop.door.state.trouble = held = Trouble(hold_after=size)
    try:
        yield
    finally:
        shop.door.state.trouble = Trouble()
        held.go.set()


@pytest.fixture(scope="module")
def sealed(servers: Fleet, folder: Path) -> Iterator[tuple[str, str]]:
    """The fleet's registry behind TLS, with a certificate of an authority that no server knows; and that authority."""
    gateway = str(servers.subnet[1])
    authority, certificate = certificates(folder, gateway)
    with token_registry.running(servers.registry_address, host="0.0.0.0", certificate=certificate) as found:
        yield found.address(gateway), authority.read_text()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_image_comes_once_and_new_content_is_seen(bench: Bench, shop: Shop, engine: str) -> None:
    first = shop.push("web", "a")
    document = bench.document([image(shop.ref("web"))], [shop.row()], engine=engine)
    foretold = bench.call(document, check_mode=True)
    assert bench.every_name(engine) == set()
    brought = bench.call(document)
    assert brought["changed"] is True, brought
    assert [(act["action"], act["after"]) for act in foretold["plan"]] == [
        (act["action"], act["after"]) for act in brought["plan"]
    ]
    assert bench.names(engine) == {shop.ref("web")}
    [line] = brought["images"]
    assert (line["state"], line["engine"], line["digest"]) == ("present", engine, first)
    assert line["size"] >= 3 << 20
    assert line["seconds"] > 0
    again = bench.call(document)
    assert (again["changed"], again["plan"]) == (False, [])
    second = shop.push("web", "b")
    [seen] = bench.call(document, action="observe")["plan"]
    assert seen["reason"] == "the registry has new content under this name"
    taken = bench.document([image(shop.ref("web"), check="missing")], [shop.row()], engine=engine)
    assert bench.call(taken, action="observe")["plan"] == []
    assert bench.call(document)["images"][0]["digest"] == second
    pinned = bench.document([image(shop.ref("web"), digest=first)], [shop.row()], engine=engine)
    assert bench.call(pinned)["images"][0]["state"] == "present"
    assert bench.call(pinned)["changed"] is False


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_login_opens_the_door_and_stays_nowhere(bench: Bench, shop: Shop, engine: str, auth: str) -> None:
    shop.push("locked", "locked")
    shop.door.state.auth = auth
    document = bench.document([image(shop.ref("locked"))], [shop.row()], engine=engine)
    [refused] = bench.call(document)["findings"]
    assert refused["check"] == "registry-login"
    assert bench.every_name(engine) == set()
    login = {"address": shop.address, "username": "region@AK", "password": "derived-key"}
    # Whatever runs on the server during the pull is looked at from beside it.
    spied = set()
    with half_way(shop, 1 << 19):
        started = bench.call(document, wait=0.1, logins=[login])
        assert "pending" in started, started
        bench.until("the middle of the pull", lambda: shop.door.state.trouble.passed >= 1 << 20)
        look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '"
        spied.add(bench.node.exec("sh", "-c", look).out)
    while not bench.status()["done"]:
        spied.add(bench.node.exec("sh", "-c", look).out)
    assert bench.status()["result"]["changed"] is True, bench.status()
    assert bench.names(engine) == {shop.ref("locked")}
    assert not any("derived-key" in text for text in spied)
    left = "grep -rIl -e derived-key -e ZGVyaXZlZC1rZXk /run /etc /root /var/lib/ascend-fleet"
    assert bench.node.exec("sh", "-c", left, check=False).out.split() == []
    assert bench.node.exec("sh", "-c", "ls -d /run/ascend-fleet-hosts-*", check=False).rc != 0


def test_a_registry_of_a_private_authority_is_trusted_by_name_and_no_further(
    bench: Bench, shop: Shop, engine: str, sealed: tuple[str, str]
) -> None:
    shop.push("sealed", "sealed")
    address, authority = sealed
    path = f"/etc/docker/certs.d/{address}/ca.crt"
    row: dict[str, Any] = shop.row(address=address, insecure=False)
    wanted = [image(f"{address}/sealed:1")]
    [refused] = bench.call(bench.document(wanted, [row], engine=engine, retries=0))["findings"]
    assert "certificate" in refused["message"]
    assert bench.every_name(engine) == set()
    trusted = bench.document(
        wanted, [{**row, "ca": {"path": path, "source": "/ca.pem", "sha256": "0" * 64}}], engine=engine
    )
    try:
        brought = bench.call(trusted, files={path: authority})
        assert brought["images"][0]["state"] == "present", brought
        assert bench.names(engine) == {f"{address}/sealed:1"}
        assert bench.call(trusted, files={path: authority})["changed"] is False
        assert bench.node.exec("curl", "--silent", f"https://{address}/v2/", check=False).rc == 60
    finally:
        bench.node.exec("rm", "-rf", f"/etc/docker/certs.d/{address}")


# Docker itself tries five times with the old token and pauses in between: more than a minute.
@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.exhaustive), "containerd"], indirect=True)
def test_tokens_that_expire_in_the_middle_are_fetched_anew(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("slow", "slow", layers=6, size=1 << 19)
    shop.door.state.auth = "bearer"
    # The first blobs are the description of the image and a layer; more layers follow.
    shop.door.state.trouble = Trouble(expire_at_blob=3)
    login = {"address": shop.address, "username": "region@AK", "password": "derived-key"}
    document = bench.document([image(shop.ref("slow"))], [shop.row()], engine=engine, retries=5)
    done = bench.call(document, wait=240, logins=[login])
    assert (done.get("changed"), done.get("findings")) == (True, []), done
    assert shop.door.state.expired > 0
    assert bench.names(engine) == {shop.ref("slow")}


def test_a_killed_pull_publishes_nothing_and_the_next_run_goes_on(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("big", "big", layers=4, size=4 << 20)
    document = bench.document([image(shop.ref("big"))], [shop.row()], engine=engine)
    with half_way(shop, 3 << 20):
        bench.call(document, wait=0.1)
        # Both engines fetch three layers at a time.
        bench.until("half of the image", lambda: shop.door.state.trouble.passed >= 9 << 20)
        bench.node.exec("sh", "-c", f"kill -9 {bench.status()['pid']}; pkill -9 -x ctr || true")
        assert bench.names(engine) == set()
    before = sum(shop.door.state.sent.values())
    done = bench.call(document, run="run-2", take_over="run-1")
    assert done.get("changed") is True, done
    assert bench.names(engine) == {shop.ref("big")}
    if engine == "containerd":
        # What containerd had is not sent again. Docker keeps nothing of a pull whose caller is gone.
        assert sum(shop.door.state.sent.values()) - before < 12 << 20


def test_a_connection_that_breaks_is_taken_up_again(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("broken", "broken", layers=2, size=2 << 20)
    shop.door.state.trouble = Trouble(cut_after=1 << 20, cuts=2)
    document = bench.document([image(shop.ref("broken"))], [shop.row()], engine=engine)
    done = bench.call(document)
    assert done.get("changed") is True, done
    assert bench.names(engine) == {shop.ref("broken")}


def test_wrong_content_is_never_published(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("wrong", "wrong", layers=1, size=1 << 18)
    shop.door.state.trouble = Trouble(wrong_content=1 << 16)
    document = bench.document([image(shop.ref("wrong"))], [shop.row()], engine=engine, retries=1)
    failed = bench.call(document)
    [finding] = failed["findings"]
    assert finding["check"] == "image-pull", finding
    assert bench.every_name(engine) == set()


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Bench]:
    """A containerd of its own on a file system with room for half an image."""
    node, mount = bench.node, "mkdir -p /mnt/small && mount -t tmpfs -o size=24m tmpfs /mnt/small"
    node.exec("sh", "-c", f"{mount} && mkdir -p /etc/small && echo 'version = 2' > /etc/small/config.toml")
    command = "containerd -c /etc/small/config.toml --root /mnt/small --state /run/small --address /run/small.sock"
    node.exec("systemd-run", "--unit=small", *command.split())
    small = Bench(node, "/run/small.sock")
    small.until("the start of containerd", lambda: small.ctr("version", check=False).rc == 0)
    yield small
    node.exec("sh", "-c", "systemctl stop small; umount /mnt/small", check=False)


def test_a_disk_too_small_is_told_before_a_byte_travels(small_disk: Bench, shop: Shop) -> None:
    shop.push("huge", "huge", layers=8, size=4 << 20)
    document = small_disk.document([image(shop.ref("huge"))], [shop.row()], engine="containerd")
    [finding] = small_disk.call(document)["findings"]
    assert finding["check"] == "image-space"
    # The description of the image, and none of it.
    assert sum(shop.door.state.sent.values()) < 1 << 13


def test_a_disk_that_fills_up_leaves_no_half_image(small_disk: Bench, shop: Shop) -> None:
    shop.push("fills", "fills", layers=3, size=4 << 20)
    document = small_disk.document([image(shop.ref("fills"))], [shop.row()], engine="containerd", retries=0)
    failed = small_disk.call(document)
    assert [item["check"] for item in failed["findings"]] == ["image-space"], failed
    assert small_disk.every_name("containerd") == set()


@pytest.fixture
def small_docker(servers: Fleet, door: Running) -> Iterator[Bench]:
    """The second server's Docker on a file system of 24 megabytes."""
    node = servers.node("n2")
    stop = "systemctl stop docker.socket docker.service"
    node.exec("sh", "-c", f"{stop}; mount -t tmpfs -o size=24m tmpfs /var/lib/docker && systemctl start docker")
    node.wait_ready()
    yield Bench(node)
    node.exec("sh", "-c", f"{stop}; umount /var/lib/docker && systemctl reset-failed; systemctl start docker")
    node.wait_ready()


def test_a_docker_that_runs_full_leaves_no_half_image(small_docker: Bench, shop: Shop) -> None:
    """What travels is small and what it unpacks to is not, so that nobody can tell before."""
    shop.push("unpacks", "empty", layers=3, size=16 << 20)
    failed = small_docker.call(small_docker.document([image(shop.ref("unpacks"))], [shop.row()], retries=0))
    assert [item["check"] for item in failed["findings"]] == ["image-space"], failed
    assert docker(small_docker.node, "images", "--all", "--quiet") == ""
    shop.push("fits", "fits", layers=1, size=1 << 20)
    assert small_docker.call(small_docker.document([image(shop.ref("fits"))], [shop.row()]))["changed"] is True


def test_two_runs_at_once_bring_an_image_once(bench: Bench, shop: Shop) -> None:
    shop.push("twice", "twice", layers=2, size=2 << 20)
    document = bench.document([image(shop.ref("twice"))], [shop.row()])
    shop.door.state.trouble = Trouble(bytes_per_second=3e6)
    bench.call(document, wait=0.1, run="one")
    other = bench.call(document, wait=60, run="two")
    assert other.get("changed") is True or other["findings"][0]["check"] in ("lock-held", "lease-held"), other
    bench.until("the first run's end", lambda: bench.status().get("done"))
    assert bench.names("docker") == {shop.ref("twice")}
    assert sum(shop.door.state.sent.values()) < 5 << 20


def test_a_cable_that_is_pulled_for_a_while(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("cable", "cable", layers=3, size=2 << 20)
    document = bench.document([image(shop.ref("cable"))], [shop.row()], engine=engine)
    with half_way(shop, 1 << 20):
        bench.call(document, wait=0.1)
        bench.until("the first bytes", lambda: shop.door.state.trouble.passed >= 1 << 20)
        bench.node.cut()
    cut_at = time.monotonic()
    bench.until("a while without network", lambda: time.monotonic() - cut_at > 2)
    bench.node.heal()
    bench.until("the end of the work", lambda: bench.status().get("done"), 120)
    assert bench.status()["result"].get("changed") is True, bench.status()
    assert bench.names(engine) == {shop.ref("cable")}


def test_archives(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("saved", "saved")
    reference = shop.ref("saved")
    docker(bench.node, "pull", "--quiet", reference)
    identity = docker(bench.node, "image", "inspect", "--format", "{{.Id}}", reference)
    save(bench.node, reference, "/root/saved.tar")
    bench.node.exec("sh", "-c", "head -c 1000000 /root/saved.tar > /root/torn.tar")
    bench.clear()
    torn = bench.document([image(reference, archive="/root/torn.tar")], engine=engine)
    [finding] = bench.call(torn)["findings"]
    assert finding["check"] == "image-archive"
    assert bench.names(engine) == set()
    shop.door.state.asked.clear()
    whole = bench.document([image(reference, digest=identity, archive="/root/saved.tar")], engine=engine)
    done = bench.call(whole)
    assert done.get("changed") is True, done
    assert bench.names(engine) == {reference}
    assert done["images"][0]["id"] == identity
    assert bench.call(whole)["changed"] is False
    assert shop.door.state.asked == []
    other = bench.document([image(shop.ref("other"), archive="/root/saved.tar")], engine=engine)
    [finding] = bench.call(other)["findings"]
    assert "holds" in finding["message"]
    assert reference in finding["message"]


def test_a_mirror_gives_the_image_under_its_own_name(bench: Bench, shop: Shop, engine: str) -> None:
    digest = shop.push("mirrored", "mirrored")
    shop.door.state.prefix = "copies/of"
    rows = [shop.row(), {**shop.row(), "address": "nowhere.example", "mirror": f"{shop.address}/copies/of"}]
    document = bench.document([image("nowhere.example/mirrored:1")], rows, engine=engine)
    done = bench.call(document)
    assert done.get("changed") is True, done
    assert "nowhere.example/mirrored:1" in bench.names(engine)
    assert done["images"][0]["digest"] == digest
    assert bench.call(document)["changed"] is False


def test_old_images_go_on_request_but_not_the_way_back(bench: Bench, shop: Shop) -> None:
    ids = []
    for seed in ("v1", "v2", "v3"):
        shop.push("versions", seed, tag=seed)
        wanted = [image(shop.ref("versions", seed), services=["web"])]
        ids.append(bench.call(bench.document(wanted, [shop.row()]))["images"][0]["id"])
    docker(bench.node, "tag", shop.ref("versions", "v1"), "theirs:1")
    docker(bench.node, "rmi", "theirs:1")
    last = [image(shop.ref("versions", "v3"), services=["web"])]
    pruned = bench.call(bench.document(last, [shop.row()], prune=True))
    assert [(act["action"], act["target"]) for act in pruned["plan"]] == [("remove", shop.ref("versions", "v1"))]
    assert bench.names("docker") == {shop.ref("versions", "v2"), shop.ref("versions", "v3")}
    assert bench.call(bench.document(last, [shop.row()], prune=True))["changed"] is False


def test_the_module_alone(bench: Bench, shop: Shop, engine: str) -> None:
    shop.push("module", "module")
    reference = shop.ref("module")
    assert bench.module(reference, engine=engine, check_mode=True)["changed"] is True
    assert bench.names(engine) == set()
    brought = bench.module(reference, engine=engine)
    assert (brought["changed"], brought["image"]["state"]) == (True, "present"), brought
    assert bench.names(engine) == {reference}
    assert bench.module(reference, engine=engine)["changed"] is False
    assert bench.module(reference, engine=engine, state="absent")["changed"] is True
    assert bench.every_name(engine) == set()
    assert bench.module(reference, engine=engine, state="absent")["changed"] is False
    unknown = bench.module(shop.ref("module", "none"), engine=engine)
    assert [item["check"] for item in unknown["findings"]] == ["image-unknown"]


@pytest.fixture
def kubernetes_tools(bench: Bench) -> Iterator[Bench]:
    """A server that has nerdctl and crictl, doubles over the real ctr, and no ctr where it is looked for."""
    node = bench.node
    doubles = Path(token_registry.__file__).parent
    for name in ("nerdctl", "crictl"):
        node.put({f"/usr/local/bin/{name}": (0o755, (doubles / f"{name}.py").read_bytes())})
    node.exec("sh", "-c", "mkdir -p /opt/real && mv /usr/bin/ctr /opt/real/ctr")
    yield bench
    node.exec(
        "sh", "-c", "mv /opt/real/ctr /usr/bin/ctr; rm -rf /usr/local/bin/nerdctl /usr/local/bin/crictl /opt/real"
    )


def test_nerdctl_and_crictl_where_a_server_has_them(kubernetes_tools: Bench, shop: Shop) -> None:
    bench, real = kubernetes_tools, ["/opt/real/ctr", "-n", "k8s.io", "images"]
    shop.door.state.auth = "bearer"
    login = {"address": shop.address, "username": "region@AK", "password": "derived-key"}
    ids = {}
    for seed in ("v1", "v2", "v3"):
        digest = shop.push("tools", seed, tag=seed)
        wanted = [image(shop.ref("tools", seed), services=["web"])]
        done = bench.call(bench.document(wanted, [shop.row()], engine="containerd"), logins=[login])
        assert done.get("changed") is True, done
        [line] = done["images"]
        assert (line["tool"], line["lister"], line["digest"]) == ("nerdctl", "crictl", digest)
        ids[seed] = line["id"]
    assert bench.node.exec(*real, "check", f"name=={shop.ref('tools', 'v1')}").out.count("true") == 1
    again = bench.document(wanted, [shop.row()], engine="containerd", prune=True)
    held = {"containers": [{"metadata": {"name": "trainer"}, "imageRef": ids["v1"]}]}
    bench.node.put({"/opt/real/containers.json": (0o644, json.dumps(held).encode())})
    assert bench.call(again, logins=[login])["plan"] == []
    bench.node.exec("rm", "/opt/real/containers.json")
    pruned = bench.call(again, logins=[login])
    assert [act["target"] for act in pruned["plan"]] == [shop.ref("tools", "v1")]
    names = bench.node.exec(*real, "ls", "-q").out
    assert shop.ref("tools", "v1") not in names
    assert shop.ref("tools", "v2") in names
    refused = bench.call(bench.document([image(shop.ref("none"))], [shop.row()], engine="containerd"), logins=[login])
    assert [item["check"] for item in refused["findings"]] == ["image-unknown"]


def test_the_engine_is_found_and_told(bench: Bench, shop: Shop) -> None:
    """Docker answers here; containers of kubelet in containerd say otherwise."""
    shop.push("auto", "auto")
    document = bench.document([image(shop.ref("auto"))], [shop.row()], engine="auto")
    assert bench.call(document, action="observe")["images"][0]["engine"] == "docker"
    pods = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
    bench.node.exec("mkdir", "-p", pods)
    try:
        assert bench.call(document, action="observe")["images"][0]["engine"] == "containerd"
    finally:
        bench.node.exec("rmdir", pods)
    nothing = bench.document([image(shop.ref("auto"))], engine="auto", address="/run/none.sock")
    nothing["host"]["engine"]["socket"] = "/run/none-either.sock"
    [finding] = bench.call(nothing, action="observe")["findings"]
    assert finding["check"] == "image-engine"


def run_role(ground: Ground, variables: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    play = [{"name": "Images", "hosts": "fleet", "gather_facts": False, "roles": ["ascend.fleet.container_image"]}]
    path = ground.folder / "play.yml"
    path.write_text(json.dumps(play))
    return subprocess.run(
        [playbook_run.PROGRAM, "-i", str(ground.hosts(variables)), str(path), *arguments],
        cwd=ground.folder,
        env=playbook_run.environment(COLLECTIONS),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_role_refreshes_a_login_and_reports_every_node(
    ground: Ground, bench: Bench, shop: Shop, servers: Fleet, tmp_path: Path
) -> None:
    """A login that lasts for one use only: the command makes the next one."""
    shop.push("role", "role")
    shop.door.state.auth = "bearer"
    counter = tmp_path / "logins"
    login = "\n".join(
        [
            "#!/bin/sh",
            f'echo x >> "{counter}"',
            f'if [ $(wc -l < "{counter}") -gt 2 ]; then key=derived-key; else key=expired; fi',
            'printf \'{"username": "region@AK", "password": "%s"}\' $key',
        ]
    )
    (tmp_path / "login").write_text(login)
    (tmp_path / "login").chmod(0o755)
    for node in servers.nodes:
        Bench(node).clear()
    variables = {
        "container_image_images": [shop.ref("role")],
        "container_image_engine": "containerd",
        "fleet_pull_limit": 1,
        "fleet_registries": [{"address": shop.address, "insecure": True, "login_command": [str(tmp_path / "login")]}],
    }
    ran = run_role(ground, variables)
    assert ran.returncode == 0, ran.stdout
    assert "derived-key" not in ran.stdout
    verdict = json.loads((ground.folder / "report" / "verdict.json").read_text())
    lines = {host: state["images"][0] for host, state in verdict["hosts"].items()}
    assert {(line["state"], line["engine"], line["tool"]) for line in lines.values()} == {
        ("present", "containerd", "ctr")
    }
    assert set(lines) == {"n1", "n2"}
    assert all(line["size"] and line["seconds"] for line in lines.values())
    assert f"{shop.ref('role')}  n1" in ran.stdout
    assert "derived-key" not in (ground.folder / "report" / "verdict.json").read_text()
    again = run_role(ground, variables)
    assert again.returncode == 0, again.stdout
    assert "changed=0" in again.stdout
    assert "changed=1" not in again.stdout


def test_the_image_of_a_training_comes_to_the_nodes_of_its_cluster(ground: Ground, bench: Bench, shop: Shop) -> None:
    """The play that submits the job needs a cluster; the limit leaves it out."""
    shop.push("training", "training")
    registries = [{"address": shop.address, "insecure": True}]
    job = {"volcano_job_image": shop.ref("training"), "fleet_registries": registries}
    ran = ground.run("train", "--limit", "n1", "-e", "volcano_job_hosts=fleet", **job)
    assert ran.rc == 0, ran.out
    assert bench.names("docker") == {shop.ref("training")}


def test_every_service_image_is_proven_and_its_content_kept_up_to_date(
    ground: Ground, bench: Bench, shop: Shop
) -> None:
    """The step stage for services: what drift sees, stage brings, and the verdict tells with size and seconds."""
    shop.push("service", "one")
    entry = {"name": "web", "kind": "container", "image": shop.ref("service"), "probe": "none", "nodes": "n1"}
    variables = {"fleet_metadata_block": "unmanaged", "fleet_services": [entry]}
    assert ground.run("stage", "--limit", "n1", **variables).rc == 0
    digest = shop.push("service", "two")
    drifted = ground.run("drift", "--limit", "n1", **variables)
    told = [item["message"] for item in drifted.verdict["failures"] if item["key"] == "images.pull"]
    assert told == [f"{shop.ref('service')} needs pull: the registry has new content under this name."]
    staged = ground.run("stage", "--limit", "n1", **variables)
    assert staged.rc == 0, staged.out
    [line] = staged.verdict["hosts"]["n1"]["images"]
    assert (line["state"], line["digest"], line["services"]) == ("present", digest, ["web"])
    assert line["seconds"] > 0


@pytest.fixture(scope="module")
def registry_image(servers: Fleet, folder: Path) -> str:
    """Debian's docker-registry with the few files that it needs, as an image of its own."""
    program = "/usr/bin/docker-registry"
    script = f"tar -chf - -C / {program} /opt/services/registry.yml $(ldd {program} | grep -o '/[^ ]*')"
    name = images.ensure(servers.client, "services")
    packed = subprocess.run(["docker", "run", "--rm", name, "sh", "-c", script], check=True, capture_output=True)
    command = [program, "serve", "/opt/services/registry.yml"]
    oci.write(folder / "peer", [io.BytesIO(packed.stdout)], {"Cmd": command, "Env": ["PATH=/usr/bin"]})
    oci.push(folder / "peer", servers.registry_address, "peer", "1")
    return f"{servers.registry_address}/peer:1"


def test_one_pull_from_outside_serves_all_nodes(
    ground: Ground, bench: Bench, shop: Shop, servers: Fleet, registry_image: str, engine: str
) -> None:
    size = 3 * (2 << 20)
    shop.push("shared", "shared", layers=3, size=2 << 20)
    for node in servers.nodes:
        Bench(node).clear()
    registries = [{"address": address, "insecure": True} for address in (shop.address, servers.registry_address)]
    variables = {
        "container_image_images": [shop.ref("shared")],
        "container_image_engine": engine,
        "fleet_registries": registries,
        "fleet_image_peer": True,
        "fleet_image_peer_image": registry_image,
        "fleet_image_peer_port": PEER_PORT,
    }
    ran = run_role(ground, variables)
    assert ran.returncode == 0, ran.stdout
    assert "No registry on" not in ran.stdout
    for node in servers.nodes:
        assert shop.ref("shared") in Bench(node).names(engine)
    assert size <= sum(shop.door.state.sent.values()) <= 1.15 * size
    assert "ascend-fleet-image-peer" not in docker(bench.node, "ps", "--all", "--format", "{{.Names}}")
    assert "ascend-fleet-image-peer" not in docker(bench.node, "volume", "ls", "--quiet")
    again = run_role(ground, variables)
    assert "changed=1" not in again.stdout, again.stdout


def test_where_the_peer_fails_every_node_pulls_for_itself(
    ground: Ground, bench: Bench, shop: Shop, servers: Fleet
) -> None:
    shop.push("alone", "alone")
    for node in servers.nodes:
        Bench(node).clear()
    variables = {
        "container_image_images": [shop.ref("alone")],
        "container_image_engine": "containerd",
        "fleet_registries": [{"address": shop.address, "insecure": True}],
        "fleet_image_peer": True,
        "fleet_image_peer_image": shop.ref("no-registry"),
    }
    ran = run_role(ground, variables)
    assert ran.returncode == 0, ran.stdout
    assert "No registry on n1" in ran.stdout
    for node in servers.nodes:
        assert shop.ref("alone") in Bench(node).names("containerd")


def test_an_archive_of_the_controller(ground: Ground, bench: Bench, shop: Shop, servers: Fleet, tmp_path: Path) -> None:
    shop.push("carried", "carried")
    reference = shop.ref("carried")
    docker(bench.node, "pull", "--quiet", reference)
    save(bench.node, reference, "/root/carried.tar")
    (tmp_path / "carried.tar").write_bytes(bench.node.read("/root/carried.tar"))
    for node in servers.nodes:
        Bench(node).clear()
    ran = run_role(
        ground,
        {
            "container_image_images": [{"reference": reference, "archive": str(tmp_path / "carried.tar")}],
            "container_image_engine": "docker",
        },
    )
    assert ran.returncode == 0, ran.stdout
    for node in servers.nodes:
        assert Bench(node).names("docker") == {reference}
        assert node.exec("sh", "-c", "ls /var/lib/ascend-fleet/images", check=False).out.split() == []
