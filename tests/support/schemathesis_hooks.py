"""What no schema can say is left out of requests that have to be taken: which cursors there are, that page * pageSize is bounded, and,
where a profile lists its event types, which those are."""

import os

import schemathesis
from schemathesis import GenerationMode

LEFT_OUT = ["cursor", "page"] + ([] if "ANY_EVENT_TYPE" in os.environ else ["eventType"])


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE:
        for name in LEFT_OUT:
            (case.query or {}).pop(name, None)
