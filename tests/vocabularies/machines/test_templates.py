"""The checks of templates before and after rendering, and the plan that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from fencepost.errors import Refusal
from fencepost.vocabularies.machines.images import is_image
from fencepost.vocabularies.machines.plan import Plan, check_source, plan_of
from tests.fixtures.machines import TEMPLATE

TASK, ACTION = "template.tasks[0]", "template.tasks[0].actions[0]"
WORKER = {"device_1": "52:54:00:12:34:56"}


def plan(text: str, hardware: Any = WORKER) -> Plan:
    return plan_of(text, orjson.dumps({"hardware": hardware}))


def template(**members: Any) -> str:
    """Return a template as JSON, which is YAML, without `{{ }}`; members override the defaults."""
    action = {"name": "wipe", "image": "disk-wipe"}
    task = {"name": "os", "worker": "w", "actions": [action]}
    return orjson.dumps({"version": "0.1", "name": "hello", "tasks": [task], **members}).decode()


def tasks(**members: Any) -> str:
    action = {"name": "wipe", "image": "disk-wipe"}
    return template(tasks=[{"name": "os", "worker": "w", "actions": [action], **members}])


def actions(*overlays: Any) -> str:
    return tasks(actions=[{"name": f"a{index}", "image": "disk-wipe", **one} for index, one in enumerate(overlays)])


@pytest.mark.shows("machines/one-list")
def test_a_plan_has_the_actions_of_all_tasks_in_order() -> None:
    found = plan(TEMPLATE)
    assert found.global_timeout == 6000
    assert [(step.action_index, step.task_name, step.name) for step in found.steps] == [
        (0, "os-installation", "disk-wipe"),
        (1, "os-installation", "disk-partition"),
        (2, "reboot", "disk-wipe"),
    ]
    assert [step.timeout for step in found.steps] == [90, 600, 0]
    assert found.find("reboot", "disk-wipe") == found.steps[2]
    assert found.find("reboot", "disk-partition") is None
    assert found.workers == ["52:54:00:12:34:56"]


@pytest.mark.shows("machines/environment")
def test_the_environment_of_an_action_overrides_that_of_its_task() -> None:
    wipe, partition, _ = plan(TEMPLATE).steps
    assert wipe.environment == ("MIRROR_HOST=192.168.1.2", "VERSION=20.10")
    assert partition.environment == ("MIRROR_HOST=192.168.1.3", "VERSION=20.10")
    action = {"name": "wipe", "image": "disk-wipe", "environment": {"C": "own", "A": "own", "Z": None}}
    (step,) = plan(tasks(environment={"D": "shared", "C": "shared", "B": 1}, actions=[action])).steps
    assert step.environment == ("A=own", "B=1", "C=own", "D=shared", "Z=")


@pytest.mark.shows("machines/volumes")
def test_volumes_are_concatenated_and_merged_by_host_path() -> None:
    partition = plan(TEMPLATE).steps[1]
    assert partition.volumes == ("/dev:/dev", "/lib/firmware:/lib/firmware:ro", "/dev:/devices", "/statedir:/statedir")
    assert partition.merged_volumes == ("/dev:/devices", "/lib/firmware:/lib/firmware:ro", "/statedir:/statedir")


@pytest.mark.shows("machines/template-keys")
def test_the_optional_members_of_an_action_are_read() -> None:
    wipe = plan(TEMPLATE).steps[0]
    assert (wipe.command, wipe.on_timeout, wipe.on_failure) == (("wipe", "--all"), ("echo", "late"), ("echo", "bad"))
    assert (wipe.image, wipe.pid) == ("quay.io/tinkerbell/disk-wipe:v1.0.0", "host")


@pytest.mark.shows("machines/empty-actions")
def test_a_task_without_actions_is_accepted() -> None:
    assert plan(tasks(actions=[])).steps == ()
    assert plan(tasks(actions=None)).steps == ()


@pytest.mark.shows("machines/action-names")
def test_two_tasks_may_share_the_name_of_an_action() -> None:
    one = {"name": "one", "worker": "w", "actions": [{"name": "wipe", "image": "disk-wipe"}]}
    assert len(plan(template(tasks=[one, {**one, "name": "two"}])).steps) == 2


@pytest.mark.shows("machines/name-lengths")
def test_a_name_has_at_most_199_bytes() -> None:
    named: Mapping[str, Callable[[str], str]] = {
        "template.name": lambda name: template(name=name),
        f"{TASK}.name": lambda name: tasks(name=name),
        f"{ACTION}.name": lambda name: actions({"name": name}),
    }
    for path, text in named.items():
        assert plan(text("x" * 199))
        assert plan(text("é" * 99))
        for long in ("x" * 200, "é" * 100):
            assert fault(text(long)) == (path, "must be shorter than 200 bytes")


@pytest.mark.shows("machines/template-id")
def test_an_id_of_a_template_is_accepted() -> None:
    text = template(id="a77ea8f4-8e4c-4d6c-9a5b-1d3e2f4a5b6c")
    check_source(text)
    assert plan(text) == plan(template())._replace(text=text)


@pytest.mark.shows("machines/numbers")
@pytest.mark.parametrize("pid", ["host", "container:x", "whatever", ""])
@pytest.mark.parametrize("seconds", [0, -1, 1, 2**63 - 1])
def test_any_timeout_and_pid_are_accepted(seconds: int, pid: str) -> None:
    task = {"name": "os", "worker": "w", "actions": [{"name": "a", "image": "b", "timeout": seconds, "pid": pid}]}
    found = plan(template(global_timeout=seconds, tasks=[task]))
    assert (found.global_timeout, found.steps[0].timeout, found.steps[0].pid) == (seconds, seconds, pid)


@pytest.mark.shows("machines/version")
@pytest.mark.parametrize("version", ["version: 0.1", 'version: "0.2"', "version:", "# none"])
def test_a_version_may_be_any_or_none(version: str) -> None:
    text = TEMPLATE.replace('version: "0.1"', version)
    check_source(text)
    assert plan(text)


@pytest.mark.shows(
    "machines/template-keys",
    "machines/strict-keys",
    "machines/name-lengths",
    "machines/task-names",
    "machines/worker-named",
    "machines/differs-strict-keys",
)
@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (template(name=""), "template.name", "must not be empty"),
        (template(name="x" * 200), "template.name", "must be shorter than 200 bytes"),
        (template(global_timeout="soon"), "template.global_timeout", "must be a whole number of seconds, not 'soon'"),
        (template(tasks=[]), "template.tasks", "at least one task is needed"),
        (template(tasks=None), "template.tasks", "at least one task is needed"),
        (template(taskz=[]), "template.taskz", "there is no member 'taskz'; did you mean 'tasks'?"),
        (tasks(name=""), TASK + ".name", "must not be empty"),
        (tasks(worker=""), TASK + ".worker", "must not be empty"),
        (tasks(worker=None), TASK + ".worker", "must not be empty"),
        (template(tasks=[{"name": "os", "actions": []}]), TASK + ".worker", "must not be empty"),
        (actions(*[{}] * 1001), TASK + ".actions", "a template has at most 1000 actions"),
        (tasks(worker="é" * 501), TASK + ".worker", "must not be longer than 1000 bytes"),
        (tasks(action=[]), TASK + ".action", "there is no member 'action'"),
        (
            template(tasks=[{"name": "a"}, {"name": "a"}]),
            "template.tasks[1].name",
            "two tasks of a template cannot have",
        ),
        (actions({"name": ""}), ACTION + ".name", "must not be empty"),
        (actions({"name": "x" * 200}), ACTION + ".name", "must be shorter than 200 bytes"),
        (actions({}, {"name": "a0"}), TASK + ".actions[1].name", "two actions of a task cannot have"),
        (actions({"image": "Disk Wipe"}), ACTION + ".image", "must name an image, not 'Disk Wipe'"),
        (actions({"image": None}), ACTION + ".image", "must name an image, not ''"),
        (actions({"timeout": 1.5}), ACTION + ".timeout", "must be a whole number of seconds"),
        (actions({"timeout": 2**63}), ACTION + ".timeout", "must be a whole number of seconds"),
        (actions({"command": "wipe"}), ACTION + ".command", "Expected `array | null`, got `str`"),
        (actions({"on_timeout": []}), ACTION + ".on_timeout", "there is no member 'on_timeout'"),
        ("name: a\nname: b", "template", 'line 2, column 1: the key "name" occurs twice in one map'),
        ("tasks: [", "template", "not YAML"),
        ("just text", "template", "Expected `object`, got `str`"),
        ("{{ .a", "template", "line 1, column 1: {{ without a closing }}"),
    ],
)
def test_a_template_that_is_wrong_for_any_hardware_is_refused(text: str, path: str, reason: str) -> None:
    at, message = fault(text)
    assert at == path
    assert message.startswith(reason)


def test_values_with_actions_are_not_checked_before_rendering() -> None:
    check_source(tasks(worker="{{.worker}}"))
    check_source(
        actions({"image": "{{.image}}", "timeout": "{{.t}}", "name": "{{.n}}"}, {"name": "{{.n}}", "image": "a"})
    )
    check_source("name: {{ .name }}\nversion: '0.1'")


def test_templates_with_conditional_lines_are_not_checked_before_rendering() -> None:
    both = "# {{ if .x }}\n- {name: a, worker: b}\n# {{ else }}\n- {name: a, worker: c}\n# {{ end }}\n"
    text = f'version: "0.1"\nname: hello\ntasks:\n{both}'
    check_source(text)
    assert plan(text, {"x": 1})
    # A conditional within one line does not add or remove lines.
    inline = tasks(worker="{{ if .x }}a{{ else }}b{{ end }}", action=[])
    assert fault(inline)[0] == "template.tasks[0].action"


@pytest.mark.shows("machines/worker-rendered")
@pytest.mark.parametrize(
    ("text", "hardware", "reason"),
    [
        (tasks(worker="{{.device_2}}"), WORKER, "the template cannot be rendered with it: line 1, column "),
        (
            tasks(worker="{{.device_1}}"),
            {"device_1": ""},
            "in the rendered template, tasks[0].worker: must not be empty",
        ),
        (tasks(worker="{{.device_1}}"), {"device_1": 'a"b'}, "the template cannot be rendered with it: not YAML"),
        (
            actions({"image": "{{.device_1}}"}),
            {"device_1": "A B"},
            "in the rendered template, tasks[0].actions[0].image: ",
        ),
        (
            actions({"name": "{{.device_1}}"}, {"name": "{{.device_1}}"}),
            WORKER,
            "in the rendered template, tasks[0].actions[1].name: two",
        ),
    ],
)
def test_the_rendered_template_is_checked(text: str, hardware: Any, reason: str) -> None:
    check_source(text)
    with pytest.raises(Refusal) as refused:
        plan(text, hardware)
    assert refused.value.field == "params.hardware"
    assert refused.value.message.startswith(reason)


@pytest.mark.parametrize(
    ("params", "path"),
    [(b'{"hardware": []}', "params.hardware"), (b'{"hardwear": {}}', "params.hardwear"), (b"[]", "params")],
)
def test_params_have_only_hardware(params: bytes, path: str) -> None:
    with pytest.raises(Refusal) as refused:
        plan_of(TEMPLATE, params)
    assert refused.value.field == path


@pytest.mark.shows("machines/image")
@pytest.mark.parametrize(
    "image",
    [
        "hello-world",
        "tink/disk-wipe",
        "localhost/x",
        "localhost:5000/x:v1",
        "10.1.1.1/hub-tool/debian:v1.0_a.b",
        "quay.io/a/b/c__d/e-f.g",
        f"a@sha256:{'0' * 64}",
        f"quay.io:443/a:v1@sha256:{'a' * 64}",
        "Quay.IO/a",
    ],
)
def test_valid_image_references_are_accepted(image: str) -> None:
    assert is_image(image)


@pytest.mark.shows("machines/image")
@pytest.mark.parametrize(
    "image",
    [
        "",
        "A",
        "a b",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:v 1",
        "a@sha256:12",
        f"a@sha256:{'0' * 63}",
        "0" * 64,
        "-a",
        "a..b",
        "a.io/",
        "a" * 256,
        f"a:{'v' * 129}",
        "Repo/a",
        f"a@sha256:{'A' * 64}",
        "a\n",
    ],
)
def test_invalid_image_references_are_refused(image: str) -> None:
    assert not is_image(image)


def fault(text: str) -> tuple[str | None, str]:
    with pytest.raises(Refusal) as refused:
        check_source(text)
    return refused.value.field, refused.value.message
