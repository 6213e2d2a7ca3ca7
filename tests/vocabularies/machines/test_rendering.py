"""The subset of Go's text/template that machine templates use."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.rendering import TextTemplate

DATA: dict[str, Any] = {
    "device_1": "52:54:00:12:34:56",
    "Hardware": {"Disks": ["/dev/nvme0n1", "/dev/sda"], "Size": 2, "Ready": True, "Empty": "", "Half": 0.5},
    "nothing": None,
    "Many": [*range(4000)],
    "Long": "x" * 100_000,
}


def render(text: str) -> str:
    return TextTemplate(text).render(DATA)


@pytest.mark.shows("machines/functions", "machines/differs-format-partition")
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
def test_templates_render_as_in_go(text: str, expected: str) -> None:
    assert render(text) == expected


# Results of Go's text/template, with the functions of Sprig v3.3.0, for DISK and its neighbours below.
@pytest.mark.shows("machines/sprig", "machines/print-spaces")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ print 1 2 }}", "1 2"),
        ('{{ print 1 2 "a" 3 4 "b" "c" }}', "1 2a3 4bc"),
        ("{{ print .t 1 .f }}", "true 1 0.5"),
        ('{{ println 1 "a" 2 }}', "1 a 2\n"),
        (
            "{{ 1e5 }} {{ 1.5e6 }} {{ 1e21 }} {{ 0.0001 }} {{ 0.00001 }} {{ 2.0 }}",
            "100000 1.5e+06 1e+21 0.0001 1e-05 2",
        ),
        ("{{ 123456789.5 }} {{ 1e-7 }}", "1.234567895e+08 1e-07"),
        ('{{ printf "%5d|%-5d|%05d|%+d|% d|%.3d" 1 2 3 4 5 6 }}', "    1|2    |00003|+4| 5|006"),
        ('{{ printf "%x|%X|%#x|%o|%b|%c" 255 255 255 8 5 65 }}', "ff|FF|0xff|10|101|A"),
        ('{{ printf "%x|%X" "abc" "xyz" }}', "616263|78797A"),
        ('{{ printf "%s|%10s|%-10s|%.2s|%05s" "ab" "cd" "ef" "ghi" "jk" }}', "ab|        cd|ef        |gh|000jk"),
        ('{{ printf "%q|%6q" "a\\"b\\n\\t" "x" }}', '"a\\"b\\n\\t"|   "x"'),
        (
            '{{ printf "%f|%.2f|%8.3f|%-8.1f|%+.1f|%08.2f" 1.5 2.345 3.14159 2.5 1.0 -3.5 }}',
            "1.500000|2.35|   3.142|2.5     |+1.0|-0003.50",
        ),
        ('{{ printf "%e|%g|%.3g|%g" 12345.678 12345.678 12345.678 1e6 }}', "1.234568e+04|12345.678|1.23e+04|1e+06"),
        ('{{ printf "%v|%5v|%-5v|%5t|%05v" 1 2 "a" true 7 }}', "1|    2|a    | true|00007"),
        ('{{ print (index .l 0) .disk (lower "A") .z }}|{{ (dict "a" 1).a }}', "b/dev/nvme0n1a0|1"),
        ('{{ printf "%d%05d%x" -5 -5 -255 }}', "-5-0005-ff"),
        ('{{ printf "%v %s" .nums .l }}', "[1 2 3] [b a a]"),
        ("{{ lower .mac }} {{ upper .disk }}", "52:54:00:ab:34:56 /DEV/NVME0N1"),
        ('{{ .mac | lower | replace ":" "-" }}', "52-54-00-ab-34-56"),
        ('{{ title "hello big_world x-y it\'s" }}', "Hello Big_world X-Y It'S"),
        ('{{ trim "  x y " }}|{{ trimAll "$" "$5.00$" }}|{{ trimPrefix "/dev/" .disk }}', "x y|5.00|nvme0n1"),
        ('{{ trimSuffix "n1" .disk }}|{{ trimPrefix "x" .disk }}', "/dev/nvme0|/dev/nvme0n1"),
        ('{{ replace "" "-" "abc" }}|{{ replace "b" "" "abcb" }}', "-a-b-c-|ac"),
        (
            '{{ quote .disk 5 true }} {{ squote .disk 1 }} {{ quote "" }}',
            '"/dev/nvme0n1" "5" "true" \'/dev/nvme0n1\' \'1\' ""',
        ),
        ('{{ cat "a" 1 true }}|{{ nospace "a b\\tc" }}|{{ repeat 3 "ab" }}', "a 1 true|abc|ababab"),
        ("{{ indent 2 .ml }}|{{ nindent 4 .ml }}", "  a\n  b|\n    a\n    b"),
        ("{{ substr 0 4 .disk }} {{ substr 5 -1 .disk }} {{ substr -1 3 .disk }}", "/dev nvme0n1 /de"),
        ("{{ trunc 4 .disk }} {{ trunc -4 .disk }} {{ trunc 100 .disk }}", "/dev e0n1 /dev/nvme0n1"),
        ('{{ join "," .l }} {{ join "-" .nums }} {{ join "," "x" }}', "b,a,a 1-2-3 x"),
        ('{{ (split "," .csv)._1 }} {{ splitList "," .csv }} {{ (splitn "," 2 .csv)._1 }}', "b [a b c] b,c"),
        ("{{ sortAlpha .l }} {{ uniq .l }} {{ list 3 1 2 | sortAlpha }}", "[a a b] [b a] [1 2 3]"),
        ('{{ default "x" "" }} {{ default "x" .disk }} {{ .z | default 5 }}', "x /dev/nvme0n1 5"),
        ("{{ empty 0 }} {{ empty .disk }} {{ empty (list) }}", "true false true"),
        ('{{ coalesce "" 0 "a" "b" }} {{ ternary "y" "n" .t }} {{ .t | ternary "y" "n" }}', "a y y"),
        ('{{ regexMatch "^/dev/nvme[0-9]+n1$" .disk }} {{ regexMatch "sda" .disk }}', "true false"),
        ('{{ regexMatch "(?i)NVME" .disk }}', "true"),
        ('{{ int "12" }} {{ int "0x1F" }} {{ int 3.9 }} {{ int true }} {{ atoi "-7" }}', "12 31 3 1 -7"),
        ('{{ add 1 2 3 }} {{ add1 4 }} {{ sub 5 7 }} {{ mul 2 3 4 }} {{ add "3" 4 }}', "6 5 -2 24 7"),
        ("{{ div 7 2 }} {{ div -7 2 }} {{ mod 7 3 }} {{ mod -7 3 }}", "3 -3 1 -1"),
        ("{{ max 1 5 3 }} {{ min 4 2 9 }} {{ range $i := until 3 }}{{ $i }};{{ end }}", "5 2 0;1;2;"),
        ("{{ first .l }} {{ last .l }} {{ rest .l }} {{ initial .l }} {{ reverse .l }}", "b a [a a] [b a] [a a b]"),
        ('{{ append .l "z" }} {{ prepend .l "z" }} {{ concat .l (list 1 2) }}', "[b a a z] [z b a a] [b a a 1 2]"),
        ('{{ has "a" .l }} {{ without .l "a" }} {{ compact (list 1 0 "" "a") }}', "true [b] [1 a]"),
        ('{{ (dict "a" 1 "b" "c").b }} {{ get .m "k" }} {{ get .m "x" }}|{{ hasKey .m "x" }}', "c v |false"),
        ('{{ b64enc .disk }} {{ b64dec "aGk=" }}', "L2Rldi9udm1lMG4x hi"),
        ('{{ sha1sum "a" }}', "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ('{{ sha256sum "a" }}', "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ('{{ index "abc" 1 }} {{ len "h\N{LATIN SMALL LETTER E WITH ACUTE}" }}', "98 3"),
        ('{{ upper "\N{LATIN SMALL LETTER SHARP S}" }}', "\N{LATIN SMALL LETTER SHARP S}"),
        ("\x1f {{- 1 -}} \x1f", "\x1f1\x1f"),
        ('{{ $d := "sda" }}{{ if .t }}{{ $d = "nvme" }}{{ end }}{{ $d }}', "nvme"),
        ('{{ $d := "sda" }}{{ if .t }}{{ $d := "nvme" }}{{ end }}{{ $d }}', "sda"),
        ("{{ $n := 0 }}{{ range .nums }}{{ $n = add $n . }}{{ end }}{{ $n }}", "6"),
        # A function of Tinkerbell.
        ('{{ netmaskToPrefixLength "255.255.255.0" }}', "24"),
    ],
)
def test_functions_give_the_results_of_sprig(text: str, expected: str) -> None:
    assert TextTemplate(text).render(DISK) == expected


DISK: dict[str, Any] = {
    "disk": "/dev/nvme0n1",
    "mac": "52:54:00:AB:34:56",
    "f": 0.5,
    "t": True,
    "z": 0,
    "l": ["b", "a", "a"],
    "nums": [1, 2, 3],
    "m": {"k": "v", "a": 1},
    "csv": "a,b,c",
    "ml": "a\nb",
    "part": "/dev/nvme",
}
OLD = 'version: "0.1"\n'


@pytest.mark.shows("machines/argument-order")
@pytest.mark.parametrize("version", [OLD, "", "version: 0.2\n", '{"name": "x", "version": "0.1"}\n'])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ hasPrefix "/dev/nvme" .disk }}', "true"),
        ('{{ hasPrefix .disk "/dev/nvme" }}', "true"),
        ('{{ .disk | hasPrefix "/dev/nvme" }}', "true"),
        ('{{ hasSuffix "n1" .disk }}{{ hasSuffix .disk "n1" }}{{ hasSuffix .disk "sda" }}', "truetruefalse"),
        ('{{ contains "nvme" .disk }}{{ contains .disk "nvme" }}{{ contains "sda" .disk }}', "truetruefalse"),
        ("{{ $p := `/dev/nvme` }}{{ hasPrefix $p .disk }}{{ hasPrefix .disk $p }}", "truetrue"),
        ('{{ hasPrefix (printf "/dev/%s" "nvme") .disk }}{{ hasPrefix (lower .disk) "/dev" }}', "truetrue"),
        (
            '{{ if hasPrefix "/dev/nvme" .disk }}p{{ end }}{{ with $d := .disk }}{{ contains "me" $d }}{{ end }}',
            "ptrue",
        ),
        ('{{ range $i, $d := list .disk }}{{ hasPrefix "/dev" $d }}{{ hasPrefix $d "/dev" }}{{ end }}', "truetrue"),
    ],
)
def test_a_constant_argument_is_the_searched_part(version: str, text: str, expected: str) -> None:
    assert TextTemplate(version + text).render(DISK) == version + expected


@pytest.mark.shows("machines/argument-order")
@pytest.mark.parametrize(
    ("version", "is_go"),
    [
        (OLD, True),
        ("version: 0.1 # as ever\n", True),
        ("version: '0.1'\n", True),
        ('{"name": "x", "version":"0.1", "a": 1}\n', True),
        ("", False),
        ('version: "0.2"\n', False),
        ("version: 1.0\nx: {version: 0.1}\n", False),
    ],
)
@pytest.mark.parametrize("function", ["contains", "hasPrefix"])
def test_with_two_data_arguments_the_version_decides_the_order(version: str, is_go: bool, function: str) -> None:
    # Go's functions take the searched part last, those of Sprig take it first.
    text = f"{{{{ {function} .disk .part }}}}{{{{ {function} .part .disk }}}}{{{{ {function} `ab` `a` }}}}"
    assert TextTemplate(version + text).render(DISK) == version + ("truefalsetrue" if is_go else "falsetruefalse")


@pytest.mark.shows("machines/rendering", "machines/differs-wrong-argument")
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
        ("a\n{{ $x = 1 }}", "line 2, column 1: there is no variable $x"),
        ("{{ range .Hardware.Size }}{{ end }}", "cannot range over a number"),
        ('{{ printf "%w" 1 }}', "printf does not know %w"),
        ('{{ printf "%!" 1 }}', "printf does not know %!"),
        ('{{ printf "%" 1 }}', "printf does not know %"),
        ('{{ printf "%d" }}', "printf has no value for %d"),
        ('{{ printf "%d" "x" }}', "%d is not for text"),
        ('{{ printf "%d" 1.5 }}', "%d is not for a number"),
        ('{{ printf "%x" 2.0 }}', "%x is not for a number"),
        ('{{ printf "%s" 5 }}', "%s is not for a number; %v is"),
        ('{{ printf "%t" 1 }}', "%t is not for a number"),
        ('{{ printf "%5v" .Hardware.Disks }}', "%5v is not for a list"),
        ('{{ eq 1 "a" }}', "cannot compare a number with text"),
        ("{{ eq true 1 }}", "cannot compare a boolean with a number"),
        ("{{ lower .Hardware.Size }}", "lower: expected text, not a number"),
        ('{{ int "abc" }}', "int: expected a whole number, not text"),
        ("{{ div 1 0 }}", "div: cannot divide by 0"),
        ("{{ mul 9223372036854775807 2 }}", "mul: the number has more than 64 bits"),
        ('{{ fail "no disk" }}', "fail: no disk"),
        ("{{ substr 50 60 .device_1 }}", "are not in a text of 17"),
        ('{{ trunc 2 "h\N{LATIN SMALL LETTER E WITH ACUTE}" }}', "begin or end within a character"),
        ("{{ repeat -1 .device_1 }}", "-1 is not from 0 to"),
        ("{{ repeat 10000000 .device_1 }}", "10000000 is not from 0 to"),
        ('{{ b64dec "%%" }}', "the argument is not text in base64"),
        ('{{ regexMatch "(" .device_1 }}', "'(' is not a pattern"),
        ('{{ regexMatch (repeat 400 "a") .device_1 }}', "a pattern has at most 300 characters"),
        ("{{ ternary 1 2 3 }}", "expected a boolean, not a number"),
        ('{{ netmaskToPrefixLength "255.0.255.0" }}', "is not an IPv4 netmask"),
        ("{{ until 100000000 }}", "100000000 is more than 10000"),
        ("{{ dict 1 2 }}", "dict: expected text, not a number"),
        ('{{ dict "a" }}', "expected a value after each name"),
        ("{{ first (list) }}", "the value is null"),
        ('{{ $x := list "a" }}' + "{{ $x = list $x $x }}" * 30 + "{{ print $x }}", "takes at most 100000 steps"),
        ('{{ $x := "a" }}{{ range until 100 }}{{ $x = list $x }}{{ end }}', "nested more than 50 levels deep"),
        ('{{ $x := "a" }}{{ range until 100 }}{{ $x = dict "a" $x }}{{ end }}', "nested more than 50 levels deep"),
        ("{{ range $.Many }}{{ $x := quote (lower $.Long) }}{{ end }}", "takes at most 100000 steps"),
        ("{{ uniq (list .Hardware) }}", "cannot compare a map"),
        ('{{ range $.Many }}{{ $x := regexMatch "a" "b" }}{{ end }}', "takes at most 100000 steps"),
        ("{{ range $.Many }}{{ $x := reverse $.Many }}{{ end }}", "takes at most 100000 steps"),
        ('{{ replace "" (repeat 1000 "a") (repeat 10000 "b") }}', "longer than 1048576"),
        ('{{ indent 1000 (repeat 10000 "\\n") }}', "longer than 1048576"),
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
def test_an_evaluation_error_has_a_reason_and_a_location(text: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=re.escape(reason)):
        render(text)


@pytest.mark.shows("machines/differs-sprig")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ .a", "line 1, column 1: {{ without a closing }}"),
        ("{{ end }}", "unexpected else or end"),
        ("x\n  {{ if .a }}", "line 2, column 3: if without an end"),
        ("{{ fooBar .a }}", "there is no function 'fooBar'"),
        ("a\n{{ .a | uper }}", "line 2, column 9: there is no function 'uper'; did you mean 'upper'?"),
        ("{{ env `HOME` }}", "there is no function 'env'"),
        ("{{ now }}", "there is no function 'now'"),
        ("{{ toYaml .a }}", "there is no function 'toYaml'"),
        ("{{ regexReplaceAll `a` .b `c` }}", "there is no function 'regexReplaceAll'"),
        ("{{ default .a }}", "'default' does not take 1 arguments"),
        (
            "version: '{{ .v }}'\n{{ hasPrefix .a .b }}",
            "line 2, column 4: 'hasPrefix': the order of its arguments is ambiguous",
        ),
        ("{{ containz .a .b }}", "did you mean 'contains'?"),
        ("{{ contains .a }}", "'contains' does not take 1 arguments"),
        ('{{ template "x" }}', "'template' is not supported"),
        ("{{ .a | .b }}", "only a function can follow a |"),
        ("{{ .a .b }}", "unexpected '.b'"),
        ("{{ (.a }}", "a ) is missing"),
        ("{{ }}", "a value is missing"),
        ("{{ # }}", "cannot read '# '"),
        ("{{ 1x }}", "'1x' is not a number"),
        ("{{ if $a, $b := .c }}{{ end }}", "two variables are for range"),
        ("{{ if .a }}" * 60 + "{{ end }}" * 60, "nested more than 50 levels deep"),
        ('{{ "\\ud800" }}', "is not a valid string"),
        ('{{ "a"' + " | print" * 60 + " }}", "nested more than 50 levels deep"),
        ("{{ " + "(" * 60 + ".a" + ")" * 60 + " }}", "nested more than 50 levels deep"),
    ],
)
def test_a_syntax_error_has_a_reason_and_a_location(text: str, reason: str) -> None:
    with pytest.raises(BadTemplate, match=re.escape(reason)):
        TextTemplate(text)


@given(st.text(alphabet='{}-.$|()ab1 "`:=,\n', max_size=60))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        TextTemplate(text).render({"a": "x", "b": [1, {"a": 2}]})
    except BadTemplate:
        return
