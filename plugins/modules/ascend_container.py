#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ascend_container
short_description: Keeps one container with Ascend cards as it shall be
version_added: 0.1.0
description:
  - Makes, replaces, starts, stops or removes one container of a Docker Engine on the host.
  - Devices, mounts, variables, labels and ports are exact sets. What is neither declared nor the image's own leaves
    the container, for instance a card that was taken off the list. The order in a list never matters, except in a
    command.
  - Everything that can be known to fail is checked before a running container is touched, that is image, device
    nodes, cards, ports, sources of mounts, network, and memory of the host.
  - A replacement keeps the old container until the new one is ready. When it does not become ready, it is removed and
    the old one comes back. A run that was cut off is finished or undone by the next one.
  - The service is down while it is replaced, for cards and ports cannot be shared. That lasts as long as it takes to
    load.
  - Nothing is pulled. The image has to be on the host.
author:
  - ascend.fleet contributors (@ascend-fleet)
requirements:
  - On the host, the Docker SDK for Python from the system's packages, or complete in the folder O(sdk_folder). It is
    needed only where something is changed.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Values of variables whose name looks like a credential are hidden.
  platform:
    platforms: linux
options:
  name:
    description:
      - Name of the container. A container of that name which the fleet did not make is refused, never touched.
    type: str
    required: true
  state:
    description:
      - With V(present) it runs, and is ready as O(probe) says.
      - With V(stopped) it exists, does not run, and stays down when the engine or the host starts again. Its cards
        stay with it.
      - With V(absent) there is none.
    type: str
    choices: [present, stopped, absent]
    default: present
  image:
    description:
      - Reference or id of the image. Needed unless O(state=absent).
      - A container is replaced when its image's id differs, not when the same image merely got another name.
    type: str
  command:
    description:
      - Command and arguments. Without it the image's own.
      - A list of words, or a text that is split into words as a shell would. No shell runs it.
    type: raw
  entrypoint:
    description:
      - Entry point. Without it the image's own, and none with an empty list.
      - A list of words, or a text that is split into words as a shell would.
    type: raw
  user:
    description:
      - User in the container, by name or number. Without it the image's own.
    type: str
  working_dir:
    description:
      - Directory in which the process starts. Without it the image's own.
    type: str
  hostname:
    description:
      - Host name in the container. Without it the engine's choice.
    type: str
  env:
    description:
      - Variables. Values are text or whole numbers, put everything else in quotes.
      - They can be read in the engine by anybody who may use it. Give credentials by O(secret_files).
    type: dict
  npus:
    description:
      - How many cards it gets, or a list of card numbers, the N of C(/dev/davinciN). V(0) stands for none.
      - Cards that the container has stay with it. A card is free when it is healthy, no process is on it, and no
        other container of the fleet nor a running foreign container has it.
      - Device nodes, mounts and variables that the chip family needs are added by a table.
    type: raw
    default: 0
  soc:
    description:
      - Name of the chip, such as V(910B3), where C(npu-smi) cannot tell it.
    type: str
  image_profile:
    description:
      - What the image expects of the host beside the driver.
    type: str
    choices: [plain, vllm-ascend, modelarts]
    default: plain
  npu_smi:
    description:
      - The program C(npu-smi), where it is not in its usual place.
    type: path
  ascend_root:
    description:
      - Folder of the driver and of the other software of the vendor.
    type: path
    default: /usr/local/Ascend
  sysfs:
    description:
      - Folder where sysfs is mounted.
    type: path
    default: /sys
  dev:
    description:
      - Folder of the device nodes of the cards.
    type: path
    default: /dev
  release:
    description:
      - Foreign containers that may be stopped when they hold cards that this one needs. Their restart policy becomes
        C(no), for otherwise they would come back with the engine.
    type: list
    elements: str
  devices:
    description:
      - Further device nodes, as C(/dev/x), C(/dev/x:/dev/y) or C(/dev/x:/dev/y:rwm).
    type: list
    elements: str
  mounts:
    description:
      - What is mounted into the container. Targets at, above or below C(/home/ma-user) are refused, since they hide
        files of the image.
    type: list
    elements: dict
    suboptions:
      type:
        description: Kind of mount.
        type: str
        choices: [bind, volume, tmpfs]
        default: bind
      source:
        description: Path on the host, or name of the volume.
        type: str
      target:
        description: Path in the container.
        type: str
        required: true
      read_only:
        description: Whether the container may only read it.
        type: bool
        default: false
      create:
        description:
          - Make the source as a directory where it is missing. Without this a missing source is refused.
        type: dict
        suboptions:
          owner:
            description: Number of the owner. Without it the user that the container runs as.
            type: int
          mode:
            description: Mode of the directory.
            type: str
            default: "0755"
  secret_files:
    description:
      - Files below C(/var/lib/ascend-fleet/secrets) that are mounted read-only.
    type: list
    elements: dict
    suboptions:
      id:
        description: Path of the file below that folder.
        type: str
        required: true
      target:
        description: Path in the container.
        type: str
        required: true
      mode:
        description: Mode of the file. Its owner becomes the user that the container runs as.
        type: str
        default: "0600"
  ports:
    description:
      - Ports published on the host.
    type: list
    elements: dict
    suboptions:
      host_ip:
        description: Address of the host on which it listens.
        type: str
        default: 127.0.0.1
      host_port:
        description: Port of the host.
        type: int
        required: true
      container_port:
        description: Port in the container.
        type: int
        required: true
      protocol:
        description: Protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
  network:
    description:
      - V(bridge), V(host), V(none), or the name of a network that exists.
    type: str
    default: bridge
  shm_size:
    description:
      - Size of C(/dev/shm), such as V(64g). Without it 64 MiB.
    type: str
  memory:
    description:
      - Limit of memory, such as V(256g). Changed in place.
    type: str
  cpus:
    description:
      - Limit of processors. Changed in place.
    type: float
  labels:
    description:
      - Labels beside the fleet's own.
    type: dict
  init:
    description:
      - Whether a small init process starts the command and reaps its children.
    type: bool
    default: true
  restart:
    description:
      - Restart policy. It is set once the container is ready, and changed in place.
    type: str
    choices: [always, 'no']
    default: always
  stop_timeout:
    description:
      - Seconds that the process gets to end and let go of its cards.
    type: int
    default: 120
  ulimits:
    description:
      - Limits of the process by name, each a number or C(soft:hard), where C(-1) means unlimited.
    type: dict
  cap_add:
    description:
      - Capabilities to add, with or without C(CAP_).
    type: list
    elements: str
  cap_drop:
    description:
      - Capabilities to drop.
    type: list
    elements: str
  security_opt:
    description:
      - Security options of the engine.
    type: list
    elements: str
  ipc:
    description:
      - Whose shared memory it uses. Without it a private one.
    type: str
    choices: [private, host]
  pids_limit:
    description:
      - Limit of processes.
    type: int
  extra_hosts:
    description:
      - Entries for the container's hosts file, as C(name:address).
    type: list
    elements: str
  log:
    description:
      - Rotation of the container's log. Without it the engine's own settings.
    type: dict
    suboptions:
      max_size:
        description: Size of a file, such as V(100m).
        type: str
      max_file:
        description: Number of files.
        type: str
  cgroup_parent:
    description:
      - The cgroup under which its own is made.
    type: str
  on_change:
    description:
      - What to do when it differs in something that only a new container can change.
      - V(recreate) replaces it, V(fail) fails and touches nothing, V(report) leaves it and reports a finding.
    type: str
    choices: [recreate, fail, report]
    default: recreate
  probe:
    description:
      - How the container proves that it is ready. Without it, it is ready when its process has lived for three
        seconds.
      - Waiting ends at once when the process ends.
    type: dict
    suboptions:
      type:
        description:
          - V(http) sends O(probe.steps), V(tcp) connects, V(command) runs a command in the container, and V(none)
            asks nothing.
        type: str
        choices: [http, tcp, command, none]
        required: true
      timeout:
        description: Seconds until it must be ready.
        type: float
        default: 600
      interval:
        description: Seconds between two attempts.
        type: float
        default: 1
      port:
        description: Port in the container, where it is not the first that is published.
        type: int
      command:
        description:
          - Command that ends with status 0 when the container is ready.
          - A list of words, or a text that is split into words as a shell would.
        type: raw
      steps:
        description: Requests that must all be answered as they say.
        type: list
        elements: dict
        suboptions:
          method:
            description: Method.
            type: str
            default: GET
          path:
            description: Path.
            type: str
            default: /
          status:
            description: Status codes that are right. Without it 200.
            type: list
            elements: int
          body:
            description: Body, sent as JSON.
            type: raw
          headers:
            description: Headers.
            type: dict
          secret_header:
            description: A header whose value comes from a file of O(secret_files).
            type: dict
            suboptions:
              name:
                description: Name of the header.
                type: str
                default: Authorization
              prefix:
                description: Text before the secret.
                type: str
                default: "Bearer "
              secret:
                description: Path of the file below C(/var/lib/ascend-fleet/secrets).
                type: str
                required: true
          timeout:
            description: Seconds for one answer.
            type: float
            default: 30
          expect:
            description: What the reply must hold.
            type: list
            elements: dict
            suboptions:
              path:
                description: Dotted path into the JSON of the reply, such as C(choices.0.message.content).
                type: str
              type:
                description: JSON type of the value.
                type: str
                choices: [string, number, integer, boolean, array, object, "null"]
              non_empty:
                description: Whether it must hold something.
                type: bool
              equals:
                description: The value itself.
                type: raw
              contains:
                description: Text that stands anywhere in the reply.
                type: str
  docker_host:
    description:
      - Socket of the engine.
    type: str
    default: unix:///var/run/docker.sock
  sdk_folder:
    description:
      - Folder with a complete Docker SDK for Python, used where the system has none that works.
    type: path
    default: /var/lib/ascend-fleet/sdk
seealso:
  - module: ascend.fleet.ascend_container_info
  - module: ascend.fleet.npu_smi_facts
  - module: community.docker.docker_container
"""

EXAMPLES = r"""
---
- name: Serve a model on two cards
  ascend.fleet.ascend_container:
    name: chat
    image: 10.0.0.2:5000/vllm-ascend:0.18
    image_profile: vllm-ascend
    command: [vllm, serve, /models/qwen, --port, "8000"]
    npus: 2
    shm_size: 64g
    mounts:
      - source: /mnt/sfs_turbo/models/Qwen2.5-7B-Instruct
        target: /models/qwen
        read_only: true
    ports:
      - host_port: 8000
        container_port: 8000
    probe:
      type: http
      timeout: 900
      steps:
        - path: /health
        - path: /v1/completions
          method: POST
          body:
            model: /models/qwen
            prompt: Hello
            max_tokens: 4
          expect:
            - path: choices.0.text
              type: string

- name: Take exactly these cards, from an idle container if need be
  ascend.fleet.ascend_container:
    name: embed
    image: 10.0.0.2:5000/vllm-ascend:0.18
    npus: [6, 7]
    release: [playground]

- name: Keep it, but do not run it
  ascend.fleet.ascend_container:
    name: embed
    image: 10.0.0.2:5000/vllm-ascend:0.18
    npus: [6, 7]
    state: stopped

- name: Remove it
  ascend.fleet.ascend_container:
    name: embed
    state: absent
"""

RETURN = r"""
---
actions:
  description: What was done, or would be done in check mode, in this order.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description:
        - One of C(create), C(replace), C(update), C(start), C(restart), C(stop), C(remove), C(release),
          C(create_directory), C(recover) and C(finish).
      type: str
    target:
      description: The container or the directory.
      type: str
    reason:
      description: Why.
      type: str
    before:
      description: What differs, as it was.
      type: raw
    after:
      description: What differs, as it shall be.
      type: raw
    interrupts:
      description: Whether something that runs is interrupted.
      type: bool
  sample:
    - action: replace
      target: chat
      reason: it differs in devices
      interrupts: true
findings:
  description: What stands against it, or deserves a look. Each has a message and a remedy.
  returned: always
  type: list
  elements: dict
  sample: []
container:
  description:
    - The container as it is now, as returned by M(ascend.fleet.ascend_container_info). Null when there is none.
  returned: success
  type: dict
  sample:
    name: chat
    running: true
    cards: [0, 1]
ready_seconds:
  description: How long it took until it was ready.
  returned: when it was waited for
  type: float
  sample: 48.2
replies:
  description: The last replies to the probe.
  returned: when it was waited for
  type: list
  elements: dict
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._container_run import Refused, run
from ansible_collections.ascend.fleet.plugins.module_utils._container_spec import (
    OptionError,
    argument_spec,
    parse_words,
)
from ansible_collections.ascend.fleet.plugins.module_utils._findings import UMASK, WARNING, FleetError
from ansible_collections.ascend.fleet.plugins.module_utils._system import System

EXPECT = {
    "path": {"type": "str"},
    "type": {"type": "str", "choices": ["string", "number", "integer", "boolean", "array", "object", "null"]},
    "non_empty": {"type": "bool"},
    "equals": {"type": "raw"},
    "contains": {"type": "str"},
}
SECRET_HEADER = {
    "name": {"type": "str", "default": "Authorization"},
    "prefix": {"type": "str", "default": "Bearer "},
    "secret": {"type": "str", "required": True, "no_log": False},
}
STEP = {
    "method": {"type": "str", "default": "GET"},
    "path": {"type": "str", "default": "/"},
    "status": {"type": "list", "elements": "int"},
    "body": {"type": "raw"},
    "headers": {"type": "dict"},
    "secret_header": {"type": "dict", "options": SECRET_HEADER, "no_log": False},
    "timeout": {"type": "float", "default": 30},
    "expect": {"type": "list", "elements": "dict", "options": EXPECT},
}
PROBE = {
    "type": {"type": "str", "choices": ["http", "tcp", "command", "none"], "required": True},
    "timeout": {"type": "float", "default": 600},
    "interval": {"type": "float", "default": 1},
    "port": {"type": "int"},
    "command": {"type": "raw"},
    "steps": {"type": "list", "elements": "dict", "options": STEP},
}


def arguments() -> dict:
    return dict(
        argument_spec(),
        state={"type": "str", "choices": ["present", "stopped", "absent"], "default": "present"},
        npus={"type": "raw", "default": 0},
        soc={"type": "str"},
        image_profile={"type": "str", "choices": ["plain", "vllm-ascend", "modelarts"], "default": "plain"},
        npu_smi={"type": "path"},
        ascend_root={"type": "path", "default": "/usr/local/Ascend"},
        sysfs={"type": "path", "default": "/sys"},
        dev={"type": "path", "default": "/dev"},
        release={"type": "list", "elements": "str"},
        on_change={"type": "str", "choices": ["recreate", "fail", "report"], "default": "recreate"},
        probe={
            "type": "dict",
            "options": PROBE,
            "required_if": [("type", "http", ("steps",)), ("type", "command", ("command",))],
        },
        docker_host={"type": "str", "default": "unix:///var/run/docker.sock"},
        sdk_folder={"type": "path", "default": "/var/lib/ascend-fleet/sdk"},
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec=arguments(),
        supports_check_mode=True,
        required_if=[("state", "present", ("image",)), ("state", "stopped", ("image",))],
    )
    probe = module.params["probe"] or {}
    try:
        if probe.get("command"):
            probe["command"] = parse_words(probe["command"])
    except OptionError as wrong:
        module.fail_json(msg=f"Container {module.params['name']}, option probe.command: {wrong}. {wrong.remedy}")
    os.umask(UMASK)
    try:
        result = run(module.params, module.check_mode, System(), module.debug, run_id="ascend_container")
    except Refused as refused:
        module.fail_json(msg=str(refused), **refused.result)
    except FleetError as error:
        module.fail_json(msg=error.told(), findings=[error.finding], actions=[])
    for found in result["findings"]:
        if found["severity"] == WARNING:
            module.warn(f"{found['message']} {found['remedy']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
