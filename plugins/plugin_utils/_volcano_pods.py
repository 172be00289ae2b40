# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes refuses in the pods of a Job, said before it is sent. Pure; private to the collection.

Volcano accepts such a Job and then cannot create its pods, so that it would wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.ascend.fleet.plugins.plugin_utils import _volcano_names as names
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_admission import repeated
from ansible_collections.ascend.fleet.plugins.plugin_utils._volcano_checks import Problem

Manifest = Mapping[str, Any]


def check(job: Manifest) -> Iterator[Problem]:
    yield from _labels(job["metadata"].get("labels", {}), "metadata.labels")
    yield from _keys(job["metadata"].get("annotations", {}), "metadata.annotations")
    for index, task in enumerate(job["spec"]["tasks"]):
        where = f"spec.tasks[{index}].template"
        metadata, pod = task["template"].get("metadata", {}), task["template"]["spec"]
        yield from _labels(metadata.get("labels", {}), f"{where}.metadata.labels")
        yield from _keys(metadata.get("annotations", {}), f"{where}.metadata.annotations")
        yield from _labels(pod.get("nodeSelector", {}), f"{where}.spec.nodeSelector")
        yield from _pod(pod, f"{where}.spec", {volume.get("mountPath") for volume in job["spec"].get("volumes", ())})


def _labels(labels: Mapping[str, str], where: str) -> Iterator[Problem]:
    yield from _keys(labels, where)
    for key, value in labels.items():
        if not names.is_label_value(value):
            yield Problem("label-syntax", f"{where}.{key}", f"{value!r} cannot be the value of a label.", value)


def _keys(labels: Mapping[str, str], where: str) -> Iterator[Problem]:
    for key in labels:
        if not names.is_label_key(key):
            yield Problem("label-syntax", where, f"{key!r} cannot be a key.", key)


def _pod(pod: Manifest, where: str, taken: set[Any]) -> Iterator[Problem]:
    if pod.get("restartPolicy", "Always") == "Always":
        message = "Always starts a training again when it has ended well."
        yield Problem("restart-always", f"{where}.restartPolicy", message, pod.get("restartPolicy"))
    volumes = pod.get("volumes", ())
    for name in repeated(volume["name"] for volume in volumes):
        yield Problem("volume-duplicate", f"{where}.volumes", f"name {name!r} twice.", name)
    for index, volume in enumerate(volumes):
        yield from _volume(volume, f"{where}.volumes[{index}]")
    containers = [("containers", c) for c in pod["containers"]] + [
        ("initContainers", c) for c in pod.get("initContainers", ())
    ]
    for name in repeated(container["name"] for _kind, container in containers):
        yield Problem("container-name", f"{where}.containers", f"name {name!r} twice.", name)
    for kind, container in containers:
        key = f"{where}.{kind}[{container['name']}]"
        yield from _image(container, key)
        yield from _env(container.get("env", ()), f"{key}.env")
        yield from _mounts(container.get("volumeMounts", ()), volumes, f"{key}.volumeMounts", taken)
        yield from _resources(container.get("resources", {}), f"{key}.resources")
        if kind == "containers":
            yield from _command(container, key)
            yield from _shared_memory(container, volumes, key)


def _volume(volume: Manifest, where: str) -> Iterator[Problem]:
    sources = sorted(set(volume) - {"name"})
    if len(sources) != 1:
        message = f"{volume['name']!r} has {' and '.join(sources) or 'no source'}."
        yield Problem("volume-source", where, message, sources)
    path = volume.get("hostPath", {}).get("path")
    if path is not None and not _is_whole(path):
        yield Problem("host-path", f"{where}.hostPath.path", f"{path!r} is not a whole path.", path)
    claim = volume.get("persistentVolumeClaim", {}).get("claimName")
    if claim is not None:
        yield from _left(claim, f"{where}.persistentVolumeClaim.claimName")


def _image(container: Manifest, where: str) -> Iterator[Problem]:
    image = container.get("image")
    if not image:
        yield Problem("container-image", where, "has no image.")
        return
    left = list(_left(image, f"{where}.image"))
    yield from left
    if not left and not names.is_image(image):
        yield Problem("image-reference", f"{where}.image", f"{image!r} is no image reference.", image)


def _left(text: str, where: str) -> Iterator[Problem]:
    found = names.placeholder(text)
    if found:
        yield Problem("placeholder", where, f"still holds {found} of the template.", text)


def _command(container: Manifest, where: str) -> Iterator[Problem]:
    """A training image of the guide has no command of its own that trains anything."""
    words = [*container.get("command", ()), *container.get("args", ())]
    shell = container.get("command") == ["/bin/sh", "-c"]
    if not "".join(words).strip() or (shell and not "".join(container.get("args", ())).strip()):
        yield Problem("command-missing", f"{where}.command", "is empty; the pods would have nothing to run.")


def _env(variables: Sequence[Manifest], where: str) -> Iterator[Problem]:
    for name in repeated(variable["name"] for variable in variables):
        yield Problem("env-name", where, f"sets {name!r} twice.", name)
    for variable in variables:
        name = variable["name"]
        if not names.is_env_name(name):
            yield Problem("env-name", where, f"{name!r} cannot name a variable.", name)
        if "value" in variable and "valueFrom" in variable:
            yield Problem("env-value", f"{where}.{name}", "has both value and valueFrom.")
        if len(variable.get("valueFrom", {"one": 1})) != 1:
            yield Problem("env-value", f"{where}.{name}.valueFrom", "must name exactly one source.")


def _mounts(mounts: Sequence[Manifest], volumes: Sequence[Manifest], where: str, taken: set[Any]) -> Iterator[Problem]:
    declared = {volume["name"] for volume in volumes}
    for mount in mounts:
        path = mount["mountPath"]
        if mount["name"] not in declared:
            yield Problem("mount-volume", where, f"{mount['name']!r} is no volume of the pod.", mount["name"])
        if not _is_whole(path):
            yield Problem("mount-path", where, f"{path!r} is not a whole path.", path)
    paths = [mount["mountPath"].rstrip("/") for mount in mounts] + [str(path).rstrip("/") for path in taken]
    for path in repeated(paths):
        yield Problem("mount-path", where, f"{path} is mounted twice.", path)


def _resources(resources: Manifest, where: str) -> Iterator[Problem]:
    limits = resources.get("limits", {})
    for key, value in resources.get("requests", {}).items():
        limit = names.quantity(limits.get(key, value))
        asked = names.quantity(value)
        if asked is not None and limit is not None and asked > limit:
            message = f"{value} is more than the limit of {limits[key]}."
            yield Problem("request-over-limit", f"{where}.requests.{key}", message, value)


def _shared_memory(container: Manifest, volumes: Sequence[Manifest], where: str) -> Iterator[Problem]:
    limit = names.quantity(container.get("resources", {}).get("limits", {}).get("memory", ""))
    if limit is None:
        return
    sizes = {
        volume["name"]: volume["emptyDir"].get("sizeLimit", "")
        for volume in volumes
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    }
    for mount in container.get("volumeMounts", ()):
        size = names.quantity(sizes.get(mount["name"], ""))
        if size is not None and size > limit:
            said = container["resources"]["limits"]["memory"]
            message = f"{sizes[mount['name']]} in {mount['mountPath']} is more than the memory limit of {said}."
            yield Problem("shm-over-limit", f"{where}.volumeMounts", message, sizes[mount["name"]])


def _is_whole(path: str) -> bool:
    return path.startswith("/") and ".." not in path.split("/")
