# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks a Volcano job goes through before it is sent, and what they find. Private to the collection.

One registry: messages, documentation and tests take description and remedy from here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ERROR = "error"
WARNING = "warning"


class Check(NamedTuple):
    description: str
    remedy: str
    severity: str = ERROR


CHECKS: dict[str, Check] = {
    # form
    "field-unknown": Check("Every field is known.", "Remove the field or correct its spelling."),
    "field-missing": Check("Every required field is there.", "Add the field."),
    "field-type": Check("Every field has the type that the API wants.", "Correct the value's type."),
    "field-value": Check("Every field has a value that the API allows.", "Correct the value."),
    "placeholder": Check(
        "No ${placeholder} of the guide's template is left.", "Put the real value in place of the placeholder."
    ),
    # what users write
    "dialect-unknown": Check("The dialect is known.", "Choose one of the dialects, or set dialect_override as well."),
    "command-missing": Check(
        "The command of the training is given.",
        "Give a shell command line, or a list of program and arguments.",
    ),
    "env-reserved": Check(
        "The environment does not redefine what the template sets.", "Choose another name for the variable."
    ),
    "work-alone": Check(
        "The second task's template is used.", "Set nodes to 2 or more with layout main_work, or remove work."
    ),
    "pvc-missing": Check("Storage that is created has a claim to be reached by.", "Give pvc a name."),
    # names
    "job-name": Check(
        "The job's name can become part of labels, pods and a service.",
        "Use at most 63 lower-case letters, digits and '-', beginning with a letter and not ending with '-'.",
    ),
    "namespace-name": Check("The namespace's name is a DNS label.", "Use lower-case letters, digits and '-'."),
    "pod-name-length": Check("Names of pods fit into 63 characters.", "Shorten the name of the job or of the task."),
    "label-syntax": Check(
        "Labels and node selectors are well-formed.",
        "Use [prefix/]name with letters, digits, '-', '_' and '.', and values of at most 63 of them.",
    ),
    "env-name": Check("Names of environment variables are well-formed and unique.", "Rename the variable."),
    "env-value": Check("A variable has a value or a reference, not both.", "Remove one of value and valueFrom."),
    "image-reference": Check("The image is a reference that a registry understands.", "Write [registry/]name[:tag]."),
    # Volcano's admission
    "task-duplicate": Check("Names of tasks are unique.", "Rename one of the tasks."),
    "min-available": Check(
        "minAvailable is at most the number of pods.", "Lower minAvailable or raise the replicas of the tasks."
    ),
    "task-min-available": Check("A task's minAvailable is at most its replicas.", "Lower minAvailable of the task."),
    "min-success": Check("minSuccess is at most the number of pods.", "Lower minSuccess."),
    "policy-trigger": Check(
        "A policy names events or an exit code, and not both.", "Give either event (or events) or exitCode."
    ),
    "policy-action": Check("A policy has an action.", "Add an action such as RestartJob."),
    "policy-exit-code": Check("A policy's exit code is not 0.", "Use TaskCompleted for success."),
    "policy-duplicate": Check("An event or exit code has one policy.", "Remove all but one of the policies."),
    "policy-any": Check("A policy for '*' stands alone.", "Remove '*' or the other events."),
    "plugin-unknown": Check(
        "Every plugin is one that the cluster's Volcano has.",
        "Remove the plugin, or choose the dialect of the cluster.",
    ),
    "plugin-master": Check("The mpi plugin finds its master task.", "Name the task that --master gives."),
    "job-volume": Check(
        "A volume of the job has one claim and a mount path of its own.",
        "Give either volumeClaim or volumeClaimName, and another mountPath.",
    ),
    "depends-on": Check("Tasks depend on other tasks without a circle.", "Correct the names in dependsOn."),
    "partition": Check(
        "Partitions make up the replicas of their task.", "Set replicas to totalPartitions times partitionSize."
    ),
    "topology-tier": Check("A topology names its tier once.", "Keep highestTierAllowed or highestTierName."),
    "queue-root": Check("The queue is not the root queue.", "Name a leaf queue."),
    # pods
    "container-name": Check("Names of containers are unique in their pod.", "Rename one of the containers."),
    "container-image": Check("Every container has an image.", "Name the image."),
    "volume-duplicate": Check("Names of volumes are unique in their pod.", "Rename one of the volumes."),
    "volume-source": Check("A volume has exactly one source.", "Give one source such as hostPath."),
    "mount-volume": Check("Every mount names a volume of the pod.", "Declare the volume or correct its name."),
    "mount-path": Check("Mount paths are absolute and unique in their container.", "Correct the path."),
    "host-path": Check("Host paths are absolute and without '..'.", "Write the whole path."),
    "request-over-limit": Check("Requests are at most the limits.", "Lower the request or raise the limit."),
    "shm-over-limit": Check(
        "Shared memory fits into the memory limit, which counts it.", "Lower shm_size or raise limits.memory."
    ),
    "restart-always": Check("A training ends: its pods are not restarted after success.", "Use OnFailure or Never."),
    # couplings of the dialect
    "rank-table-name": Check(
        "The ConfigMap of the rank table is named after the job and in its namespace.",
        "Let the role name it: remove what overrides it.",
    ),
    "rank-table-content": Check("The rank table begins as 'initializing'.", "Leave the ConfigMap's data as rendered."),
    "coupling-label": Check("ConfigMap, Job and pods carry the labels of the dialect.", "Put the label back."),
    "coupling-affinity": Check(
        "Pods keep apart from the pods of their own job, one per node.",
        "Name the job in the anti-affinity on kubernetes.io/hostname.",
    ),
    "coupling-network": Check("Pods use the network of their host.", "Set hostNetwork to true."),
    "coupling-plugin": Check("The plugins of the dialect are there.", "Put the plugin back."),
    "coupling-selector": Check("Pods go to nodes with NPUs.", "Put the node selector back."),
    "coupling-npu": Check(
        "Every training container asks for whole NPUs, as much as its limit.",
        "Give requests and limits the same whole number of NPUs.",
    ),
    "coupling-task-name": Check("The rank plugin knows the names of the tasks.", "Use the dialect's names of tasks."),
    "coupling-gang": Check(
        "The job starts when all of its nodes are there.",
        "Set minAvailable to the number of nodes, or gang to false for the guide's value.",
    ),
    # cluster
    "cluster-refused": Check(
        "The API server accepts the credentials.", "Renew the token or the kubeconfig, then run again."
    ),
    "cluster-forbidden": Check("The credentials may do what the role needs.", "Ask for the permission in the message."),
    "cluster-unreachable": Check("The API server answers.", "Check address, network and certificate of the cluster."),
    "cluster-volcano": Check("Volcano is installed in the cluster.", "Install Volcano, or name the right cluster."),
    "namespace-absent": Check("The namespace exists.", "Create it, or correct the namespace."),
    "queue-absent": Check("The queue exists.", "Create the queue or correct its name."),
    "queue-closed": Check("The queue is open.", "Open the queue or choose another one."),
    "queue-parent": Check("The queue is a leaf.", "Choose one of its children."),
    "pvc-absent": Check("The claim exists in the namespace.", "Create it, or give storage so that the role does."),
    "pvc-unbound": Check("The claim is bound.", "Look at its events, or wait until it is bound.", WARNING),
    "pvc-lost": Check("The claim still has its volume.", "Make the claim again from its storage."),
    "nodes-few": Check(
        "The cluster has as many fitting nodes as the job asks for.",
        "Ask for fewer nodes, NPUs, cpu or memory, or label and add nodes.",
    ),
    "requests-unknown": Check(
        "cpu and memory are requested.", "Give requests and limits, or let the cluster's nodes propose them.", WARNING
    ),
    "unchecked": Check("Everything could be looked at.", "Ask for the permission to read it.", WARNING),
    "immutable": Check(
        "Only the number of nodes, minAvailable and the priority class of a job may change.",
        "Set volcano_job_recreate to true to delete the job and submit it again, or give the job another name.",
    ),
    "job-ended": Check(
        "The job did not end before.", "Set volcano_job_rerun to true to delete it and submit it again."
    ),
    "job-absent": Check("The job is there.", "Submit it first (volcano_job_state: present)."),
}


class Problem(NamedTuple):
    check: str
    key: str
    message: str
    value: Any = None

    @property
    def severity(self) -> str:
        return CHECKS[self.check].severity

    def line(self) -> str:
        """What is wrong where, and the remedy, in one line."""
        return f"{self.key}: {self.message} {CHECKS[self.check].remedy} [{self.check}]"

    def as_dict(self) -> dict[str, Any]:
        known = CHECKS[self.check]
        return {
            "check": self.check,
            "severity": known.severity,
            "key": self.key,
            "value": self.value,
            "message": self.message,
            "remedy": known.remedy,
        }


def errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == ERROR]


def failure(name: str, problems: list[Problem]) -> str:
    """The message of a refused job: every error at once, one line each."""
    found = errors(problems)
    title = f"{len(found)} problem{'s' * (len(found) != 1)} with the job {name or '(without a name)'}; nothing was sent"
    return "\n".join([f"{title}:", *(f"  - {problem.line()}" for problem in found)])
