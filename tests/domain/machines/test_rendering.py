"""The part of Go's text/template that templates of machines use."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencepost.domain.machines.rendering import TextTemplate
from fencepost.domain.machines.words import BadTemplate

DATA: dict[str, Any] = {
    "device_1": "52:54:00:12:34:56",
    "Hardware": {"Disks": ["/dev/nvme0n1", "/dev/sda"], "Size": 2, "Ready": True, "Empty": "", "Half": 0.5},
    "nothing": None,
    "Many": [*range(4000)],
    "Long": "x" * 100_000,
}


def render(text: str) -> str:
    return TextTemplate(text).render(DATA)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ('worker: "{{.device_1}}"', 'worker: "52:54:00:12:34:56"'),
        ("{{ .Hardware.Size }} {{ .Hardware.Ready }} {{ .Hardware.Half }}", "2 true 0.5"),
        ("{{ index .Hardware.Disks 1 }}", "/dev/sda"),
        ('{{ index . "device_1" }}', "52:54:00:12:34:56"),
        ("{{ formatPartition ( index .Hardware.Disks 0 ) 1 }}", "/dev/nvme0n1p1"),
        ("{{ formatPartition ( index .Hardware.Disks 1 ) 2 }}", "/dev/sda2"),
        ('{{ formatPartition "/dev/mmcblk0" 2 }}', "/dev/mmcblk0"),
        ("{{ index .Hardware.Disks 1 | printf `%s` }}", "/dev/sda"),
        ('{{ if contains .device_1 "00" }}a{{ else }}b{{ end }}', "a"),
        ('{{ if hasPrefix .device_1 "00" }}a{{ else if hasSuffix .device_1 "56" }}b{{ else }}c{{ end }}', "b"),
        ("{{ if and .Hardware.Ready (gt .Hardware.Size 1) }}yes{{ end }}", "yes"),
        ("{{ or .Hardware.Empty .device_1 }}", "52:54:00:12:34:56"),
        ("{{ if not .Hardware.Empty }}none{{ end }}", "none"),
        ("{{ range .Hardware.Disks }}[{{.}}]{{ end }}", "[/dev/nvme0n1][/dev/sda]"),
        ("{{ range $i, $disk := .Hardware.Disks }}{{$i}}={{$disk}} {{ end }}", "0=/dev/nvme0n1 1=/dev/sda "),
        ("{{ range $key, $_ := .Hardware }}{{$key}} {{ end }}", "Disks Empty Half Ready Size "),
        ("{{ range .Hardware.Empty }}x{{ else }}nothing{{ end }}", "nothing"),
        ("{{ with .Hardware }}{{ .Size }}{{ $.device_1 }}{{ end }}", "252:54:00:12:34:56"),
        ("{{ $size := .Hardware.Size }}{{ eq $size 1 2 }}", "true"),
        ('a {{- /* a comment with }} and " */ -}} b{{/**/}}', "ab"),
        ("a  {{- 1 -}}  b", "a1b"),
        ('{{ "}}" }}{{ `{{` }}', "}}{{"),
        (
            '{{ printf "%05.1f|%q|%%" .Hardware.Half "a\\"b" }}{{ .Hardware.Disks }}',
            '000.5|"a\\"b"|%[/dev/nvme0n1 /dev/sda]',
        ),
        ("{{ len .Hardware.Disks }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2 2 }}{{ ge 1 2 }}", "2truetruetruefalse"),
    ],
)
def test_templates_say_what_they_say_in_go(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n{{ .device_2 }}", "line 2, column 1: there is no .device_2; did you mean .device_1?"),
        ("{{ .Hardware.Disk }}", "did you mean .Disks?"),
        ("{{ .device_1.x }}", "there is no .x in text"),
        ("{{ .nothing }}", "the value is null"),
        ("{{ index .Hardware.Disks 2 }}", "index 2 is out of range: there are 2"),
        ("{{ index .Hardware.Size 2 }}", "cannot look up 2 in a number"),
        ("{{ lt .Hardware.Size .device_1 }}", "cannot compare a number with text"),
        ("{{ contains .Hardware.Size .device_1 }}", "expected text, not a number"),
        ("{{ $x }}", "there is no variable $x"),
        ("{{ range .Hardware.Size }}{{ end }}", "cannot range over a number"),
        ('{{ printf "%w" 1 }}', "printf does not know %w"),
        ('{{ printf "%d" }}', "printf has no value for %d"),
        ('{{ printf "%d" "x" }}', "%d is not for text"),
        ('{{ printf "" 1 }}', "more values than places"),
        ("{{ range $.Hardware.Disks }}" * 20 + "{{ end }}" * 20, "takes at most 100000 steps"),
        ("{{ range $.Many }}{{ $x := contains $.Long `y` }}{{ end }}", "takes at most 100000 steps"),
        ("{{ range $.Many }}{{ $x := print $.Long }}{{ end }}", "takes at most 100000 steps"),
        ("{{ range $.Many }}{{ $x := and" + " (and 1 1 1)" * 30 + "}}{{ end }}", "takes at most 100000 steps"),
        (
            "".join(f"{{{{ $x{n} := 1 }}}}" for n in range(9000)) + "{{ range $.Many }}{{ end }}",
            "takes at most 100000 steps",
        ),
        ('{{ printf "%d" 1e999 }}', "%d is not for a number"),
        ("{{ eq .Hardware .Hardware }}", "cannot compare a map"),
        ("{{ lt .Hardware.Disks .Hardware.Disks }}", "cannot compare a list"),
        ("{{ $x := `" + "x" * 1000 + "` }}" + "{{ $x = print $x $x }}" * 30, "longer than 1048576"),
    ],
)
def test_what_has_no_value_is_an_error_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=re.escape(reason)):
        render(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ .a", "line 1, column 1: {{ without its }}"),
        ("{{ end }}", "there is nothing to end here"),
        ("x\n  {{ if .a }}", "line 2, column 3: if without its end"),
        ("{{ fooBar .a }}", "there is no function 'fooBar'"),
        ("{{ .a | upper }}", "there is no function 'upper'"),
        ('{{ default "x" .a }}', "there is no function 'default'"),
        ("{{ containz .a .b }}", "did you mean 'contains'?"),
        ("{{ contains .a }}", "'contains' does not take 1 arguments"),
        ('{{ template "x" }}', "'template' is not read here"),
        ("{{ .a | .b }}", "only a function can follow a |"),
        ("{{ .a .b }}", "unexpected '.b'"),
        ("{{ (.a }}", "a ) is missing"),
        ("{{ }}", "something is missing"),
        ("{{ # }}", "cannot read '# '"),
        ("{{ 1x }}", "'1x' is no number"),
        ("{{ if $a, $b := .c }}{{ end }}", "two variables are for range"),
        ("{{ if .a }}" * 60 + "{{ end }}" * 60, "nested more than 50 levels deep"),
        ('{{ "\\ud800" }}', "is not text as we read it"),
        ('{{ "a"' + " | print" * 60 + " }}", "nested more than 50 levels deep"),
        ("{{ " + "(" * 60 + ".a" + ")" * 60 + " }}", "nested more than 50 levels deep"),
    ],
)
def test_what_is_not_known_is_refused_when_it_is_read(text: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=re.escape(reason)):
        TextTemplate(text)


@given(st.text(alphabet='{}-.$|()ab1 "`:=,\n', max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        TextTemplate(text).render({"a": "x", "b": [1, {"a": 2}]})
    except BadTemplate:
        return
