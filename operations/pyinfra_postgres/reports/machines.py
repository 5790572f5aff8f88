"""Reports for machines: JUnit's XML and SARIF.

Pure: no I/O, no pyinfra state.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

from ..terminal import printable
from . import rollup
from .advice import SEVERITIES
from .facts import Check, Finding, HostFacts, Report
from .statuses import Status

_LEVELS = {
    Status.FAIL: "error",
    Status.BLOCKED: "warning",
    Status.UNREACHABLE: "error",
    Status.NOT_VERIFIED: "warning",
}


def junit(report: Report) -> str:
    """The report as JUnit has it: a suite for each host, a case for each check."""
    root = ET.Element("testsuites", name=printable(report.title))
    for host in report.hosts:
        suite = ET.SubElement(
            root, "testsuite", name=printable(host.name), timestamp=printable(host.verified)
        )
        for one in _checks(host):
            case = ET.SubElement(
                suite, "testcase", classname=printable(one.task), name=printable(one.title)
            )
            _ended(case, one)
        counts = {
            "tests": len(suite),
            "failures": len(suite.findall("testcase/failure")),
            "errors": len(suite.findall("testcase/error")),
            "skipped": len(suite.findall("testcase/skipped")),
        }
        suite.attrib.update({name: str(count) for name, count in counts.items()})
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _ended(case: ET.Element, one: Check) -> None:
    words = {
        Status.FAIL: "failure",
        Status.BLOCKED: "error",
        Status.UNREACHABLE: "error",
        Status.NOT_VERIFIED: "error",
        Status.NOT_APPLICABLE: "skipped",
    }
    if one.status in words:
        message = printable(f"{one.status.value}: {one.reason}")
        ET.SubElement(case, words[one.status], message=message)


def sarif(report: Report) -> str:
    """The report as SARIF has it: a result for each check that does not pass, and for each finding
    of advice that nobody has accepted.
    """
    results = [
        _result(host, one)
        for host in report.hosts
        for one in _checks(host)
        if not one.status.approves
    ]
    findings = [(host, one) for host in report.hosts for one in host.findings if not one.accepted]
    results += [_advice(host, one) for host, one in findings]
    rules = dict.fromkeys(rollup.task_names(report.hosts))
    rules |= dict.fromkeys(one.rule for _, one in findings)
    tool = {
        "name": "pyinfra-postgres",
        "rules": [
            {"id": _rule(rule), "shortDescription": {"text": printable(rule)}} for rule in rules
        ],
    }
    log = {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{"tool": {"driver": tool}, "results": results}],
    }
    return json.dumps(log) + "\n"


def _result(host: HostFacts, one: Check) -> dict[str, Any]:
    said = f"{one.title}: {one.status.value}, {one.reason}"
    return _found(host, one.task, _LEVELS[one.status], one.title, said)


def _advice(host: HostFacts, one: Finding) -> dict[str, Any]:
    said = f"{one.what}: {one.said}"
    level = one.severity if one.severity in SEVERITIES else "warning"
    return _found(host, one.rule, level, one.what, f"{said}; {one.mend}" if one.mend else said)


def _found(host: HostFacts, rule: str, level: str, what: str, said: str) -> dict[str, Any]:
    place = {"fullyQualifiedName": printable(f"{host.name}/{what}"), "kind": "resource"}
    return {
        "ruleId": _rule(rule),
        "level": level,
        "message": {"text": printable(said)},
        "locations": [{"logicalLocations": [place]}],
    }


def _checks(host: HostFacts) -> tuple[Check, ...]:
    """Its checks; of what is out of reach one that says so."""
    if host.unreachable:
        return (Check("Connection", "the database is there", Status.UNREACHABLE, host.unreachable),)
    return host.checks


def _rule(task: str) -> str:
    return printable(task)
