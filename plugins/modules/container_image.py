#!/usr/bin/python
# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_image
short_description: Keeps one container image on a host, in Docker or in containerd
version_added: 0.1.0
description:
  - Brings an image from a registry or from an archive of C(docker save), and proves by a fresh look at the engine that
    it is there.
  - Needs no library on the host. Docker is asked over its socket, containerd through C(ctr), or through C(nerdctl)
    where there is no C(ctr).
  - A login reaches Docker in a header of the request, and containerd in a file in memory that only root can read and
    that is removed afterwards. It is in no argument and no environment.
  - The tag is given at the end, so that it never stands for half an image.
  - What is known to fail is told before anything is pulled, that is an image for another architecture, too little
    room, a refused login.
  - The role P(ascend.fleet.container_image#role) brings images to many hosts, goes on when a connection is lost, and
    reports. For a large image use it, or C(async) with this module.
author:
  - ascend.fleet contributors (@ascend-fleet)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: linux
options:
  reference:
    description: Name of the image, with registry and tag.
    type: str
    required: true
  state:
    description: With V(absent) the name is removed, and the content when it has no other name.
    type: str
    choices: [present, absent]
    default: present
  digest:
    description: Digest the image must have; for O(archive), the id of the image in it.
    type: str
  archive:
    description: Archive of C(docker save) on the host, or on storage that it shares with others.
    type: path
  check:
    description:
      - With V(always) the registry is asked whether the tag has new content, which is then brought.
      - With V(missing) a tag that is on the host is taken as it is.
    type: str
    choices: [always, missing]
    default: always
  engine:
    description:
      - The engine. V(auto) is containerd where kubelet runs its containers there, else Docker, else containerd.
    type: str
    choices: [auto, docker, containerd]
    default: auto
  docker_socket:
    description: Socket of Docker.
    type: path
    default: /var/run/docker.sock
  address:
    description: Socket of containerd.
    type: path
    default: /run/containerd/containerd.sock
  namespace:
    description: Namespace of containerd; V(k8s.io) is that of Kubernetes.
    type: str
    default: k8s.io
  username:
    description: Name to log in to the registry with.
    type: str
  password:
    description: Password or key.
    type: str
  insecure:
    description:
      - Whether the registry speaks HTTP or shows a certificate nobody can check. Docker must have been told as well.
    type: bool
    default: false
  mirror:
    description: Host, port and path of a mirror that is asked first.
    type: str
  ca_path:
    description: File on the host with certificates that the registry is trusted by. Docker must have been told as well.
    type: path
  retries:
    description: How often a pull that failed is tried again, after growing pauses.
    type: int
    default: 4
"""

EXAMPLES = r"""
---
- name: Bring the image of a training to the containerd of a Kubernetes node
  ascend.fleet.container_image:
    reference: swr.cn-southwest-2.myhuaweicloud.com/team/training:1
    engine: containerd
    username: "{{ swr_user }}"
    password: "{{ swr_key }}"
  async: 3600
  poll: 10

- name: Load an archive from shared storage
  ascend.fleet.container_image:
    reference: team/training:1
    archive: /mnt/sfs_turbo/images/training-1.tar
"""

RETURN = r"""
---
image:
  description: The image as the engine has it.
  returned: success
  type: dict
  sample:
    reference: registry:5000/vllm:1
    state: present
    id: sha256:8d4f...
    digest: sha256:3c46...
    size: 9120834212
    seconds: 84.2
    services: []
    engine: containerd
    tool: ctr
actions:
  description: What was or would be done.
  returned: success
  type: list
  elements: dict
findings:
  description: What is wrong or worth knowing, each with check id, severity, message and remedy.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ascend.fleet.plugins.module_utils._container_image import handle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "reference": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "digest": {"type": "str"},
            "archive": {"type": "path"},
            "check": {"type": "str", "choices": ["always", "missing"], "default": "always"},
            "engine": {"type": "str", "choices": ["auto", "docker", "containerd"], "default": "auto"},
            "docker_socket": {"type": "path", "default": "/var/run/docker.sock"},
            "address": {"type": "path", "default": "/run/containerd/containerd.sock"},
            "namespace": {"type": "str", "default": "k8s.io"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "insecure": {"type": "bool", "default": False},
            "mirror": {"type": "str"},
            "ca_path": {"type": "path"},
            "retries": {"type": "int", "default": 4},
        },
        required_together=[("username", "password")],
        supports_check_mode=True,
    )
    result = handle(module.params, module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
