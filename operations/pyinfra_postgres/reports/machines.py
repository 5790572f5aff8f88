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
from .facts import Check, HostFacts, Report
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
    """The report as SARIF has it: a result for each check that does not pass."""
    results = [
        _result(host, one)
        for host in report.hosts
        for one in _checks(host)
        if not one.status.approves
    ]
    tool = {
        "name": "pyinfra-postgres",
        "rules": [
            {"id": _rule(task), "shortDescription": {"text": printable(task)}}
            for task in rollup.task_names(report.hosts)
        ],
    }
    log = {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{"tool": {"driver": tool}, "results": results}],
    }
    return json.dumps(log, indent=1) + "\n"


def _result(host: HostFacts, one: Check) -> dict[str, Any]:
    said = f"{one.title}: {one.status.value}, {one.reason}"
    place = {"fullyQualifiedName": printable(f"{host.name}/{one.title}"), "kind": "resource"}
    return {
        "ruleId": _rule(one.task),
        "level": _LEVELS[one.status],
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
