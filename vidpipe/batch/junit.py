"""Write how a batch ended as JUnit XML, which CI systems show as a table of tests.

In:   TitleResults.
Out:  the XML: one suite, a test case for each title.
Wrong: nothing. Characters that XML cannot hold are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from vidpipe.batch.queue import TitleResult

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[TitleResult]) -> bytes:
    """Return the XML. A failure is a title that failed, an error one that showed a bug in vidpipe; a title that was not made is skipped."""
    counts = {
        "tests": len(results),
        "failures": sum(result.state == "failed" and result.traceback is None for result in results),
        "errors": sum(result.traceback is not None for result in results),
        "skipped": sum(result.state in ("stopped", "not-started") for result in results),
    }
    suite = xml.Element("testsuite", {"name": "vidpipe ingest", **{name: str(count) for name, count in counts.items()}})
    suite.set("time", f"{sum(result.seconds for result in results):.3f}")
    for result in sorted(results, key=lambda each: each.number):
        case = xml.SubElement(suite, "testcase", classname="vidpipe.ingest", name=result.content_id, time=f"{result.seconds:.3f}")
        case.set("file", _clean(result.source))
        text = _clean("\n".join(result.message))
        if result.state == "failed":
            kind = "error" if result.traceback else "failure"
            xml.SubElement(case, kind, message=text.partition("\n")[0], type=f"exit code {result.exit_code}").text = text
        elif not result.is_well:
            xml.SubElement(case, "skipped", message=result.state)
        elif result.result:
            xml.SubElement(case, "system-out").text = _clean(f"{result.state}: {result.result.manifest}")
    suites = xml.Element("testsuites")
    suites.append(suite)
    xml.indent(suites)
    written: bytes = xml.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
