# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings and actions: what every step says about a node. Private to the collection.

``CHECKS`` is the one registry of check ids. A finding names its check; the verdict, the
report and the documentation take severity, description and remedy from here.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, NamedTuple

ERROR = "error"
WARNING = "warning"
INFO = "info"
UMASK = 0o022


class Check(NamedTuple):
    severity: str
    description: str
    remedy: str


CHECKS: dict[str, Check] = {
    # run and node
    "host-unreachable": Check(
        ERROR, "The node answers over its connection.", "Check address, network and credentials of the node."
    ),
    "become-refused": Check(
        ERROR,
        "The user of the connection may become root on the node.",
        "Give the password with --ask-become-pass or ansible_become_password, or let the user run sudo without one.",
    ),
    "step-failed": Check(ERROR, "Every task of a step succeeds.", "Read the message, mend its cause and run again."),
    "no-result": Check(
        ERROR,
        "Every node of the run reports a result.",
        "Run again; look for a run that was cut off or a node that left the inventory.",
    ),
    "document-schema": Check(
        ERROR,
        "A node gets a document that its modules understand.",
        "Compile the document with the release of the collection that applies it.",
    ),
    "node-files": Check(
        ERROR,
        "The file systems of a node can be written.",
        "Make room on that file system, or make it writable, and run again.",
    ),
    "drift": Check(
        ERROR,
        "A node is as its document says.",
        "Run the site playbook to bring the node back, or write the change into the inventory.",
    ),
    "lease-held": Check(
        ERROR, "No other run works on the node.", "Wait until the other run ends, or until its lease expires."
    ),
    "lock-held": Check(
        ERROR, "No other change is under way on the node.", "Wait for the change that holds the lock, then run again."
    ),
    "node-reach": Check(
        ERROR,
        "Nodes reach each other on the TCP ports that services declare.",
        "Open the port between the nodes (firewall, security group, route).",
    ),
    "model-missing": Check(
        ERROR,
        "A model that only names a path is on the node already.",
        "Put the model there, mount the storage that holds it, or correct model.path.",
    ),
    "model-invalid": Check(
        ERROR,
        "The model's files are complete and agree with the service's options.",
        "Correct the option or the model named in the message.",
    ),
    "model-gated": Check(
        ERROR,
        "The licence of a gated model is accepted by the account whose token is given.",
        "Accept the licence on the model's page and name a file with a token of that account (token_file).",
    ),
    "model-source": Check(
        ERROR,
        "The source of a model exists and lists its files.",
        "Correct source, revision, include or exclude of the model.",
    ),
    "model-busy": Check(
        ERROR,
        "Nobody else brings other weights to the same directory.",
        "Wait until the other work has ended, then run again.",
    ),
    "transfer-refused": Check(
        ERROR,
        "The source of a download gives what is asked for.",
        "Correct the address, or give a token that may read it.",
    ),
    "transfer-failed": Check(
        ERROR,
        "The source of a download can be reached.",
        "Check network, proxy and CA bundle, then run again: what has arrived is kept.",
    ),
    "transfer-content": Check(
        ERROR,
        "Every downloaded file has the size and the digest that its source names.",
        "Run again; if it stays so, the source or something in between sends other content.",
    ),
    "transfer-space": Check(
        ERROR, "The file system has room for what is to come.", "Make room or choose another path, then run again."
    ),
    "path-missing": Check(
        ERROR,
        "Files and directories that a service needs are on the node.",
        "Create the path or mount the storage that holds it.",
    ),
    "hbm-free": Check(
        ERROR,
        "The cards of a service have the free memory that it will ask for.",
        "Stop what uses the card, or lower gpu_memory_utilization.",
    ),
    # NPUs
    "npu-absent": Check(
        ERROR,
        "A node whose services need NPUs has some.",
        "Take the node out of the services' hosts, set npus to 0, or install the cards and their driver.",
    ),
    "npu-count": Check(
        ERROR,
        "Every chip is seen: by the tool, as a device node, and as the inventory expects.",
        "Look for the missing card with 'npu-smi info' and dmesg; reboot, replace it, or correct fleet_npus_expected.",
    ),
    "npu-device": Check(
        WARNING,
        "It is known which /dev/davinci node belongs to each chip.",
        "Run on the host rather than in a container, and compare 'npu-smi info -m' with /dev/davinci*.",
    ),
    "npu-driver-missing": Check(
        ERROR,
        "The NPU driver is installed and sees the cards.",
        "Install driver and firmware for the cards of this server, then reboot.",
    ),
    "npu-driver-reboot": Check(
        ERROR,
        "Driver and firmware are the ones that were loaded at boot.",
        "Reboot the server: a new driver or firmware works only after that.",
    ),
    "npu-hang": Check(
        ERROR,
        "npu-smi answers in time.",
        "Look at 'dmesg' for the driver; reboot the server if it hangs again, or raise the timeout.",
    ),
    "npu-held": Check(
        ERROR,
        "No container keeps the tool from the cards.",
        "Stop the container that has the cards ('docker ps', then its device list), then run again.",
    ),
    "npu-library": Check(
        ERROR,
        "npu-smi finds the libraries of the driver.",
        "Set fleet_ascend_root to the folder that holds driver/lib64, or install the driver again.",
    ),
    "npu-output": Check(
        ERROR,
        "npu-smi prints a whole table of chips.",
        "Run 'npu-smi info' as root on the node and look at what it prints.",
    ),
    "npu-permission": Check(ERROR, "npu-smi may be run and may ask the driver.", "Run as root (become: true)."),
    "npu-processes": Check(
        ERROR,
        "The list of processes covers every NPU of the table.",
        "Run 'npu-smi info' on the node and look at its list of processes.",
    ),
    "npu-tool-missing": Check(
        ERROR,
        "npu-smi is on a node that has cards.",
        "Install the driver's tools, or name the program in npu_smi (fleet_npu_smi).",
    ),
    "npu-unhealthy": Check(
        ERROR,
        "Every chip is healthy.",
        "Ask 'npu-smi info -t health -i <NPU>' for the error code; reset or replace the card.",
    ),
    # compiling the inventory
    "inventory-invalid": Check(ERROR, "The inventory says what is meant, in every value.", "Correct the value."),
    "model-needs-cards": Check(
        WARNING,
        "A model of the catalogue gets the cards it is known to need.",
        "Give the service more cards, or ignore this where the model is known to fit.",
    ),
    "model-length": Check(
        WARNING,
        "A model of the catalogue takes no longer sequences than it is known to take on its cards.",
        "Lower max_model_len, give the service more cards, or ignore this where it is known to fit.",
    ),
    "service-open": Check(
        WARNING,
        "A service without a login is reached from its node only.",
        "Bind it to 127.0.0.1 and put a gateway with a login before it, or let only trusted addresses reach the port.",
    ),
    "secret-in-env": Check(
        WARNING,
        "Nothing secret is in a container's environment, which docker inspect shows.",
        "Mount it as a file instead (key secrets of kind container).",
    ),
    # containers
    "card-held": Check(
        ERROR,
        "No other container holds the cards that a service asks for.",
        "Stop that container, allow it to be stopped by naming it in fleet_release, or ask for other cards.",
    ),
    "container-changed": Check(
        ERROR,
        "A container that must not be recreated still is what it shall be.",
        "Set on_change to recreate, or take the change back.",
    ),
    "container-exited": Check(
        ERROR,
        "The process of a service keeps running.",
        "Read the last lines of its log in the message and mend what they name.",
    ),
    "container-foreign": Check(
        ERROR,
        "The name of a service is not taken by a container that somebody else made.",
        "Rename the service, or remove that container by hand if nobody needs it.",
    ),
    "container-not-ready": Check(
        ERROR,
        "A service answers its probe in time.",
        "Read the log of the container; raise the probe's timeout if it only needs longer.",
    ),
    "device-missing": Check(
        ERROR,
        "The device nodes that a container is given are on the node.",
        "Correct the path, or load the driver that makes the device.",
    ),
    "engine-refused": Check(
        ERROR,
        "The container engine carries out what it is asked to do.",
        "Mend what the engine's message names, then run again.",
    ),
    "engine-unavailable": Check(
        ERROR, "The container engine answers.", "Start the container engine; its log says why it is down."
    ),
    "image-missing": Check(
        ERROR,
        "The image of a service is on the node before its container is made.",
        "Stage the image (registry or archive), or correct its reference.",
    ),
    "cpus-exceeded": Check(
        ERROR,
        "No container is given more processors than the node has.",
        "Lower cpus, or move the service to a larger node.",
    ),
    "memory-exceeded": Check(
        ERROR,
        "Memory and shared memory of all services fit into the node.",
        "Lower memory or shm_size, or move a service to another node.",
    ),
    "mount-forbidden": Check(
        ERROR,
        "Nothing is mounted over the files that the image brings in its home directory.",
        "Mount it elsewhere and point the program there.",
    ),
    "mount-missing": Check(
        ERROR,
        "What a container mounts is on the node.",
        "Correct the source, mount the storage that holds it, or let it be made with create.",
    ),
    "network-missing": Check(
        ERROR, "The network that a container joins exists.", "Create the network or correct its name."
    ),
    "option-invalid": Check(
        ERROR, "Every option of a container has a usable value.", "Correct the value; the documentation shows its form."
    ),
    "port-taken": Check(
        ERROR,
        "The ports that a service publishes are free on the node.",
        "Choose another port, or stop what listens there.",
    ),
    "placement": Check(
        ERROR, "Every service gets the cards it asks for.", "Ask for fewer cards, or free some of those that are held."
    ),
    "wan-cards": Check(
        WARNING,
        "A video is made on the number of cards that the vendor's guide knows.",
        "Use 8 cards for 14B and 4 for 1.3B, or see that the video is right.",
    ),
    "job-failed": Check(
        ERROR, "Every job ends well within its timeout.", "Read the log of the job, mend its cause and run again."
    ),
    "job-outputs": Check(
        ERROR,
        "A job leaves the files that it should, each whole.",
        "Look at what the job writes and at its key outputs, then run again.",
    ),
    "service-state": Check(ERROR, "Every service is in the state of its entry.", "Deploy again, and look at its log."),
    "orphan": Check(
        WARNING,
        "Every container of the fleet is described by an entry.",
        "Set fleet_prune: remove, or put the entry back.",
    ),
    "rollback-nothing": Check(
        WARNING,
        "A service that is to go back ran from something else before.",
        "Put what shall run into the inventory and run the site playbook.",
    ),
    "secret-missing": Check(ERROR, "Secrets reach the node with the run.", "Deploy through the playbook."),
    "image-pull": Check(ERROR, "Images can be pulled.", "Check reference, registry, network and credentials."),
    "image-unknown": Check(
        ERROR, "Registries have the images of the inventory.", "Correct the reference, or push the image."
    ),
    "image-platform": Check(
        ERROR, "Images are for the architecture of the node.", "Name the image for this architecture."
    ),
    "image-soc": Check(
        ERROR, "Images are for the chips of the node.", "Name the image of the same release for these chips."
    ),
    "image-driver": Check(
        ERROR,
        "The driver of a node is new enough for the release of its images.",
        "Update driver and firmware and reboot, or use an older release.",
    ),
    "image-space": Check(
        ERROR,
        "Images fit where the engine keeps them.",
        "Make room there, set fleet_image_prune to true, or give the engine a larger file system.",
    ),
    "image-engine": Check(
        ERROR,
        "A node has an engine that keeps images.",
        "Install Docker, or containerd with ctr or nerdctl, or correct engine and address.",
    ),
    "registry-unreachable": Check(
        ERROR,
        "Registries answer the nodes.",
        "Check address, network, fleet_proxy and certificates (ca_file or insecure in fleet_registries).",
    ),
    "registry-mirror": Check(
        WARNING,
        "containerd's hosts.toml leads to the mirror of the inventory.",
        "Add the mirror to that file by hand, or remove the file and run again.",
    ),
    "registry-login": Check(
        ERROR,
        "Registries take the login of the inventory.",
        "Correct username, password_file or login_command in fleet_registries.",
    ),
    "image-archive": Check(
        ERROR, "An image archive holds the image it is given for.", "Name the right archive, or save it again."
    ),
    "bake-failed": Check(
        ERROR,
        "What a service needs can be installed into its image.",
        "Mend what the message names and run again; nothing of the attempt is left.",
    ),
    "bake-missing": Check(
        ERROR,
        "An image that the fleet bakes is built by one node for all that need it.",
        "Look why the node that was to build it failed, and run again.",
    ),
    "python-missing": Check(
        ERROR,
        "A Python that Ansible can use is on the node.",
        "Install Python 3.8 or newer, or set ansible_python_interpreter.",
    ),
    # packages
    "package-missing": Check(
        ERROR,
        "The vendor's package that a service needs can be had.",
        "Put the package where the inventory says, or correct that.",
    ),
    "package-ambiguous": Check(
        ERROR, "Exactly one package is meant.", "Name the file, or say which version and which parts are wanted."
    ),
    "package-invalid": Check(
        ERROR,
        "A package is whole, is the one that is meant, and holds nothing that leaves its folder or floods the disk.",
        "Do not use it; get the package again from where it is published.",
    ),
    "package-unfit": Check(
        ERROR,
        "What a package holds is made for the Python, the architecture and the chip it is to run on.",
        "Get the package for that target, or use an image for which this one is made.",
    ),
    "package-target": Check(
        ERROR,
        "The folder of a package holds nothing else.",
        "Name another folder, or move away what is there.",
    ),
    "package-space": Check(
        ERROR, "There is room for what is to be unpacked.", "Make room there, or name a folder on another disk."
    ),
    "package-locked": Check(
        ERROR,
        "One node at a time unpacks into a folder.",
        "Wait for that node, or raise lock_timeout if the package takes so long.",
    ),
    # host settings
    "ca-bundle-missing": Check(
        ERROR,
        "The CA bundle that the inventory names is on the node.",
        "Run the step prepare, with fleet_ca_bundle naming a file on the controller.",
    ),
    "directory-blocked": Check(
        ERROR,
        "Directories that the inventory names can be made.",
        "Move away what stands in the way, or name another path.",
    ),
    "engine-config-invalid": Check(
        ERROR,
        "The engine's configuration file is one JSON object that the engine accepts.",
        "Correct the file by hand; it is never replaced.",
    ),
    "engine-flag-conflict": Check(
        ERROR,
        "No engine option is given both as a flag and in daemon.json, which would stop the engine.",
        "Remove the flag from the engine's unit, or the key from fleet_docker_daemon.",
    ),
    "engine-missing": Check(
        ERROR,
        "A Docker Engine is installed.",
        "Run the step prepare, or install the engine by hand and set fleet_docker_manage to false.",
    ),
    "engine-start-failed": Check(
        ERROR,
        "The Docker Engine starts.",
        "Read the engine's journal (journalctl -u docker.service) and mend its cause.",
    ),
    "engine-unknown-os": Check(
        ERROR,
        "The packages of the engine are known for the node's operating system.",
        "Install the Docker Engine by hand, or set fleet_docker_package_dir to a directory of packages on the node.",
    ),
    "forwarding-overridden": Check(
        WARNING,
        "No other file turns packet forwarding off again.",
        "Correct the file, or set fleet_sysctl_neutralise to true to have the line commented out.",
    ),
    "forwarding-refused": Check(
        ERROR,
        "Packet forwarding can be turned on, in the running kernel and in its files.",
        "Run as root, outside of a container that may not write /proc/sys.",
    ),
    "metadata-block-failed": Check(
        ERROR,
        "The rules that keep containers from the metadata address can be set.",
        "Read the message of the firewall program; install iptables or nftables.",
    ),
    "metadata-host-network": Check(
        WARNING,
        "Containers on the host's network cannot read the metadata address either.",
        "Use a bridge network, or a kernel with the cgroup match (xt_cgroup, or nft socket cgroupv2).",
    ),
    "mount-conflict": Check(
        ERROR,
        "Nothing else is mounted where shared storage belongs.",
        "Unmount it and take its line out of /etc/fstab, or name another path.",
    ),
    "mount-failed": Check(
        ERROR,
        "Shared storage can be mounted.",
        "Check the source, the options, and that the node reaches the file server (security group, route).",
    ),
    "mount-not-persistent": Check(
        WARNING,
        "Storage that services need is mounted again after a reboot.",
        "Add the mount to /etc/fstab or write a mount unit.",
    ),
    "sdk-missing": Check(
        ERROR,
        "The node's Python can talk to the engine through the Docker SDK.",
        "Run the step prepare; without a package index set fleet_sdk_wheels to a directory of wheels.",
    ),
    "bundle-incomplete": Check(
        ERROR,
        "A bundle takes along everything that the fleet needs.",
        "Read the message of each, mend its cause and make the bundle again; what it holds stays.",
    ),
    "dataset-archive": Check(
        ERROR,
        "An archive of data is whole and holds nothing that leads out of its folder.",
        "Get the archive again, or look at what it holds.",
    ),
    "dataset-foreign": Check(
        ERROR,
        "Data are brought to a directory that nobody else has filled.",
        "Move the files away, or name another directory; as directory they may be a source themselves.",
    ),
    "dataset-format": Check(
        ERROR,
        "Data have the format that they are said to have.",
        "Correct the source or the format; nothing was published.",
    ),
    "dataset-source": Check(
        ERROR, "The source of data is there.", "Correct the source, or mount the storage that holds it."
    ),
    "storage-dead": Check(
        ERROR,
        "Whoever serves the storage that a node uses answers.",
        "Bring the file server or its network back; a mount that stays dead is freed by 'umount -l' or a reboot.",
    ),
    "teardown-partial": Check(
        ERROR,
        "Host settings are removed together with all services that they serve.",
        "Leave out fleet_only, or fleet_teardown_host.",
    ),
    "systemd-missing": Check(
        ERROR,
        "The node is run by systemd.",
        "Set fleet_docker_manage to false and fleet_metadata_block to unmanaged on nodes without systemd.",
    ),
}


def finding(
    check: str,
    message: str,
    remedy: str | None = None,
    service: str | None = None,
    key: str | None = None,
    value: Any = None,
    severity: str | None = None,
) -> dict[str, Any]:
    known = CHECKS[check]
    return {
        "check": check,
        "severity": severity or known.severity,
        "service": service,
        "key": key,
        "value": value,
        "message": message,
        "remedy": remedy or known.remedy,
    }


def action(
    scope: str,
    name: str,
    target: str,
    reason: str,
    before: Any = None,
    after: Any = None,
    interrupts: bool = False,
    predicted_because: str | None = None,
) -> dict[str, Any]:
    """One step of a plan; ``scope`` is host, images, services or jobs."""
    return {
        "scope": scope,
        "action": name,
        "target": target,
        "reason": reason,
        "before": before,
        "after": after,
        "interrupts": interrupts,
        "predicted_because": predicted_because,
    }


_FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class FleetError(Exception):
    """A failure the user can act on: carries exactly one finding."""

    def __init__(self, check: str, message: str, remedy: str | None = None, **where: Any) -> None:
        super().__init__(message)
        self.finding = finding(check, message, remedy, **where)

    def __str__(self) -> str:
        # What an undone change adds to the finding is part of the failure.
        return str(self.finding["message"])

    def told(self) -> str:
        """The failure for people: what is wrong, and what to do about it."""
        return f"{self} {self.finding['remedy']}"


def unwritable(error: Exception) -> FleetError | None:
    """What an error of a file system means to people; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _FULL_OR_CLOSED:
        return None
    if not error.filename:
        # Writing to a file that is open names none; what may not be done then may be anything.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return FleetError("node-files", f"A file cannot be written: {error.strerror}.") if full else None
    folder, name = os.path.split(str(error.filename))
    path = folder if name.startswith(".ascend-fleet-") else error.filename
    return FleetError("node-files", f"{path} cannot be written: {error.strerror}.", value=path)


def answered(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a module, also where it refuses.

    What it makes has the modes that it gives, whatever the umask of whoever became root: the connection's user fetches
    from below these folders.
    """
    before = os.umask(UMASK)
    try:
        return call()
    except FleetError as error:
        return _failure(error)
    except OSError as error:
        told = unwritable(error)
        if told is None:
            raise
        return _failure(told)
    finally:
        os.umask(before)


def failed(result: dict[str, Any], errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a module with what stands against it as its message."""
    text = " ".join(f"{item['message']} {item['remedy']}" for item in errors)
    return dict(result, failed=True, msg=text)


def _failure(error: FleetError) -> dict[str, Any]:
    return {"failed": True, "changed": False, "msg": error.told(), "findings": [error.finding]}
